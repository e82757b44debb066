#include <png.h>

#include <csetjmp>
#include <cstring>
#include <utility>

#include "src/core/error.h"
#include "src/io/exif.h"
#include "src/io/image.h"

namespace convoy {
namespace {

/// libpng's state for one picture. Its errors arrive by longjmp, so that what calls it is kept to `guarded`,
/// in which nothing has a destructor.
class PngDecoder {
 public:
  PngDecoder(std::span<const std::uint8_t> bytes, const std::string& name)
      : rest_(bytes), file_bytes_(bytes.size()), name_(name) {
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
    return upright(std::move(image), orientation());
  }

 private:
  template <class Calls>
  void guarded(const Calls& calls) {
    if (setjmp(jump_) != 0) fail("{}: a damaged PNG file: {}", name_, message_);
    calls();
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
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return 1;
    return exif_orientation({exif, size});
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    std::longjmp(self->jump_, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}  // of what does not touch the pixels
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->rest_.size()) png_error(png, "it ends early");
    std::memcpy(out, self->rest_.data(), count);
    self->rest_ = self->rest_.subspan(count);
  }

  std::span<const std::uint8_t> rest_;
  std::size_t file_bytes_;
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
