#include <png.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <csetjmp>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "src/io/exif.h"
#include "src/io/image.h"

namespace convoy {
namespace {

/// libpng's state for one picture. Its errors arrive by longjmp, so that what calls it is kept to `guarded`,
/// in which nothing has a destructor.
class PngDecoder {
 public:
  PngDecoder(std::span<const std::uint8_t> bytes, const std::string& name)
      : rest_(bytes), file_bytes_(bytes.size()), lacks_end_(lacks_end_alone(bytes)), name_(name) {
    if (lacks_end_) rest_ = bytes.first(end_of_chunks(bytes));
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail("{}: no memory to decode it", name);
    }
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  Image decode() {
    guarded([this] { read_header(); });
    Image image;
    const png_uint_32 height = png_get_image_height(png_, info_), width = png_get_image_width(png_, info_);
    check_image_size(height, width, file_bytes_, name_);
    image.height = static_cast<int>(height);
    image.width = static_cast<int>(width);
    const std::size_t row = std::size_t{width} * 3;
    std::vector<png_bytep> rows(height);
    guarded([this] { set_transformations(); });
    if (png_get_rowbytes(png_, info_) != row) fail("{}: a PNG file of a kind that is not supported", name_);
    image.pixels.resize(height * row);
    for (std::size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * row;
    png_bytepp all = rows.data();
    guarded([this, all] {
      png_read_image(png_, all);
      png_read_end(png_, info_);
    });
    image.lacks_end = lacks_end_;
    return upright(std::move(image), orientation());
  }

 private:
  template <class Calls>
  void guarded(const Calls& calls) {
    if (setjmp(jump_) != 0) fail("{}: a damaged PNG file: {}", name_, message_);
    calls();
  }

  static constexpr std::array<std::uint8_t, 12> end_chunk{0,   0,   0,    0,    'I',  'E',
                                                          'N', 'D', 0xAE, 0x42, 0x60, 0x82};

  /// Where the first chunk begins that is not there as a whole; behind the last, where all are.
  static std::size_t end_of_chunks(std::span<const std::uint8_t> bytes) {
    constexpr std::size_t signature = 8, around = 12;  // length, type and checksum
    std::size_t at = signature;
    while (bytes.size() >= at + around) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < 4; ++i) length = length << 8 | bytes[at + i];
      if (length > bytes.size() - at - around) break;
      at += around + length;
      if (std::memcmp(bytes.data() + at - around - length + 4, "IEND", 4) == 0) break;
    }
    return std::min(at, bytes.size());
  }
  /// Whether the file ends where its last chunk belongs, or within that; other chunks may still be missing.
  static bool lacks_end_alone(std::span<const std::uint8_t> bytes) {
    const auto tail = bytes.subspan(end_of_chunks(bytes));
    const bool has_end = bytes.size() - tail.size() >= end_chunk.size() &&
                         std::equal(end_chunk.begin(), end_chunk.end(), tail.data() - end_chunk.size());
    return !has_end && tail.size() < end_chunk.size() &&
           std::equal(tail.begin(), tail.end(), end_chunk.begin());
  }

  void read_header() {
    constexpr png_uint_32 most_along_an_axis = 1 << 27;
    png_set_user_limits(png_, most_along_an_axis, most_along_an_axis);
    png_set_chunk_malloc_max(png_, 8 << 20);
    png_set_read_fn(png_, this, on_read);
    png_read_info(png_, info_);
  }

  /// Whatever the file holds becomes three channels of eight bits.
  void set_transformations() {
    png_set_expand(png_);  // palettes, and fewer than eight bits
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  /// Of the camera; its chunk may stand before or behind the pixels.
  int orientation() const {
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &size, &exif) != 0) return exif_orientation({exif, size}).value_or(1);
    return exif_orientation(raw_profile()).value_or(1);
  }

  /// EXIF data as ImageMagick wrote it before there was a chunk for it: a text of three lines (none, "exif",
  /// the number of bytes), then the bytes in hexadecimal digits.
  std::vector<std::uint8_t> raw_profile() const {
    png_textp texts = nullptr;
    int count = 0;
    png_get_text(png_, info_, &texts, &count);
    for (const png_text& text : std::span(texts, static_cast<std::size_t>(count))) {
      if (std::strcmp(text.key, "Raw profile type exif") != 0) continue;
      std::string_view rest = text.text;
      for (int line = 0; line < 3; ++line) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) return {};
        rest.remove_prefix(end + 1);
      }
      return from_hexadecimal(rest);
    }
    return {};
  }
  static std::vector<std::uint8_t> from_hexadecimal(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    int high = -1;
    for (const char c : text) {
      const auto* const digits = "0123456789abcdef";
      const auto* const digit = std::strchr(digits, std::tolower(static_cast<unsigned char>(c)));
      if (c == 0 || digit == nullptr) continue;
      const int value = static_cast<int>(digit - digits);
      if (high >= 0) bytes.push_back(static_cast<std::uint8_t>(16 * high + value));
      high = high >= 0 ? -1 : value;
    }
    return bytes;
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    std::longjmp(self->jump_, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}  // of what does not touch the pixels
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (self->rest_.empty() && self->lacks_end_ && !self->at_end_) {
      self->rest_ = end_chunk;
      self->at_end_ = true;
    }
    if (count > self->rest_.size()) png_error(png, "it ends early");
    std::memcpy(out, self->rest_.data(), count);
    self->rest_ = self->rest_.subspan(count);
  }

  std::span<const std::uint8_t> rest_;
  std::size_t file_bytes_;
  bool lacks_end_;       ///< the file's last chunk is missing: end_chunk is read in its place
  bool at_end_ = false;  ///< where that has begun
  const std::string& name_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  char message_[128] = {};
};

}  // namespace

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  return PngDecoder(bytes, name).decode();
}

}  // namespace convoy
