#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it before
#include <cstring>
#include <iterator>
#include <optional>
//
#include <jpeglib.h>
//
#include <jerror.h>

#include "core/error.h"
#include "src/io/exif.h"
#include "src/io/image.h"

namespace convoy {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Whole pixels [begin, end) of one axis.
struct Span {
  int begin = 0, end = 0;
  int size() const { return end - begin; }
};

/// What of an axis of `length` pixels a filter reads that makes `out` pixels of [first, first + extent).
Span needed(double first, double extent, bool isolated, int out, int length) {
  // The filter's reach, and what upsampled colours look at beyond it.
  const double reach = (isolated ? 0 : std::max(1.0, extent / std::max(1, out))) + 4;
  return {std::clamp(static_cast<int>(std::floor(first - reach)), 0, length - 1),
          std::clamp(static_cast<int>(std::ceil(first + extent + reach)), 1, length)};
}

/// libjpeg's state for one picture. Its errors arrive by longjmp, so that what calls it is kept to `guarded`,
/// in which nothing has a destructor.
class JpegDecoder {
 public:
  JpegDecoder(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
    guarded([this] { jpeg_create_decompress(&info_); });
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  ImagePart decode(const std::function<Box(ImageSize)>& choose, ImageSize out) {
    guarded([this] { read_header(); });
    check_image_size(info_.image_height, info_.image_width, bytes_.size(), name_);
    lacks_end_ = !has_end();
    // What was cut short is found even where only its upper part is wanted.
    if (lacks_end_) JpegDecoder(bytes_, name_).require_all_pixels();
    const int orientation = find_orientation();
    ImageSize size{static_cast<int>(info_.image_height), static_cast<int>(info_.image_width)};
    if (orientation >= 5) std::swap(size.height, size.width);

    ImagePart part;
    part.box = choose(size);
    const int divisor = choose_divisor(part.box, out);
    part.box = {part.box.top / divisor, part.box.left / divisor, part.box.height / divisor,
                part.box.width / divisor, part.box.isolated};
    guarded([this, divisor] { start(divisor); });
    if (orientation != 1) {
      part.image = upright(read(all_rows(), all_columns()), orientation);
      // A row or column at the end may stand for fewer than `divisor` stored ones: where an axis is mirrored
      // it comes first.
      const Mirrored mirrored = mirrored_by(orientation);
      if (mirrored.rows) part.box.top += part.image.height - static_cast<double>(size.height) / divisor;
      if (mirrored.columns) part.box.left += part.image.width - static_cast<double>(size.width) / divisor;
      return part;
    }
    const Span rows = needed(part.box.top, part.box.height, part.box.isolated, out.height, all_rows().end);
    Span columns = needed(part.box.left, part.box.width, part.box.isolated, out.width, all_columns().end);
    if (columns.size() < all_columns().size()) columns = crop(columns);
    part.image = read(rows, columns);
    part.box.top -= rows.begin;
    part.box.left -= columns.begin;
    return part;
  }

 private:
  template <class Calls>
  void guarded(const Calls& calls) {
    if (setjmp(jump_) != 0)
      fail("{}: a {}: {}", name_,
           unsupported_ ? "JPEG file of a kind that is not supported" : "damaged JPEG file", message_);
    calls();
  }

  void read_header() {
    jpeg_mem_src(&info_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info_, TRUE);
  }

  bool has_end() const {
    const Bytes scans(info_.src->next_input_byte, info_.src->bytes_in_buffer);
    for (std::size_t end = scans.size(); end >= 2; --end)
      if (scans[end - 2] == 0xFF && scans[end - 1] == JPEG_EOI) return true;
    return false;
  }

  /// Of a file without an end: decodes it, small, and fails where bits of a pixel or a whole scan are
  /// missing.
  void require_all_pixels() {
    lacks_end_ = true;
    guarded([this] {
      read_header();
      start(8);
    });
    read(all_rows(), all_columns());
    if (!has_every_scan()) fail("{}: a damaged JPEG file: it ends early", name_);
  }

  bool has_every_scan() const {
    for (int i = 0; i < info_.num_components; ++i) {
      if (!info_.progressive_mode && !scanned_.at(static_cast<std::size_t>(i))) return false;
      if (!info_.progressive_mode) continue;
      const auto& missing_bits = info_.coef_bits[i];
      if (std::any_of(std::begin(missing_bits), std::end(missing_bits), [](int bits) { return bits != 0; }))
        return false;
    }
    return true;
  }

  int find_orientation() const {
    for (auto* marker = info_.marker_list; marker != nullptr; marker = marker->next)
      if (const auto orientation = exif_orientation({marker->data, marker->data_length})) return *orientation;
    return 1;
  }

  static int choose_divisor(const Box& box, ImageSize out) {
    if (out == ImageSize{}) return 1;
    int divisor = 1;
    while (divisor < 8 && box.height >= 2 * divisor * out.height && box.width >= 2 * divisor * out.width)
      divisor *= 2;
    return divisor;
  }

  void start(int divisor) {
    const bool inks = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    info_.scale_num = 1;
    info_.scale_denom = static_cast<unsigned>(divisor);
    info_.progress = &progress_;
    progress_.progress_monitor = on_progress;
    jpeg_start_decompress(&info_);
  }

  Span all_rows() const { return {0, static_cast<int>(info_.output_height)}; }
  Span all_columns() const { return {0, static_cast<int>(info_.output_width)}; }

  /// Decodes only these columns from here on, or a few more: returns which.
  Span crop(Span columns) {
    auto first = static_cast<JDIMENSION>(columns.begin), width = static_cast<JDIMENSION>(columns.size());
    JDIMENSION *first_at = &first, *width_at = &width;
    guarded([this, first_at, width_at] { jpeg_crop_scanline(&info_, first_at, width_at); });
    return {static_cast<int>(first), static_cast<int>(first + width)};
  }

  Image read(Span rows, Span columns) {
    Image image;
    image.height = rows.size();
    image.width = columns.size();
    image.lacks_end = lacks_end_;
    const std::size_t row_bytes = static_cast<std::size_t>(image.width) * 3;
    image.pixels.resize(static_cast<std::size_t>(image.height) * row_bytes);
    std::vector<std::uint8_t> inks;
    const bool has_inks = info_.out_color_space == JCS_CMYK;
    if (has_inks) inks.resize(static_cast<std::size_t>(image.width) * 4);
    std::uint8_t *out = image.pixels.data(), *ink_row = inks.data();
    guarded([=, this] {
      if (rows.begin > 0) jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(rows.begin));
      for (int y = 0; y < rows.size(); ++y) {
        std::uint8_t* row = out + static_cast<std::size_t>(y) * row_bytes;
        JSAMPROW to = has_inks ? ink_row : row;
        if (jpeg_read_scanlines(&info_, &to, 1) != 1) ERREXIT(&info_, JERR_INPUT_EOF);
        if (has_inks) from_inks(ink_row, columns.size(), row);
      }
    });
    return image;
  }

  /// Cyan, magenta, yellow and black are stored as 255 minus the ink, as Adobe's programs write them.
  static void from_inks(const std::uint8_t* inks, int count, std::uint8_t* out) {
    for (int x = 0; x < count; ++x, inks += 4)
      for (int c = 0; c < 3; ++c) *out++ = static_cast<std::uint8_t>((inks[c] * inks[3] + 127) / 255);
  }

  static JpegDecoder& self(j_common_ptr info) { return *static_cast<JpegDecoder*>(info->client_data); }

  [[noreturn]] static void on_error(j_common_ptr info) {
    JpegDecoder& decoder = self(info);
    info->err->format_message(info, decoder.message_);
    decoder.unsupported_ = is_unsupported(info->err->msg_code);
    std::longjmp(decoder.jump_, 1);
  }
  static bool is_unsupported(int code) {
    constexpr int codes[] = {
#if JPEG_LIB_VERSION < 70  // later interfaces know arithmetic coding
      JERR_ARITH_NOTIMPL,
#endif
      JERR_BAD_PRECISION,
      JERR_CCIR601_NOTIMPL,
      JERR_CONVERSION_NOTIMPL,
      JERR_FRACT_SAMPLE_NOTIMPL,
      JERR_NOT_COMPILED,
      JERR_NOTIMPL,
      JERR_SOF_UNSUPPORTED
    };
    return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
  }
  /// A warning is an error where pixels are lost; odd headers and stray bytes are not.
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    const int code = info->err->msg_code;
    if (self(info).lacks_end_ && code == JWRN_JPEG_EOF) return;
    if (self(info).lacks_end_ && (code == JWRN_HIT_MARKER || code == JWRN_MUST_RESYNC)) {
      std::strcpy(self(info).message_, "it ends early");
      std::longjmp(self(info).jump_, 1);
    }
    switch (code) {
      case JWRN_JPEG_EOF:
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
        on_error(info);
      default:
        break;
    }
  }
  /// A small file may ask for thousands of passes over a large picture.
  static void on_progress(j_common_ptr info) {
    constexpr int most_scans = 500;
    JpegDecoder& decoder = self(info);
    for (int i = 0; i < decoder.info_.comps_in_scan; ++i)
      decoder.scanned_.at(static_cast<std::size_t>(decoder.info_.cur_comp_info[i]->component_index)) = true;
    if (decoder.info_.input_scan_number <= most_scans) return;
    std::strcpy(decoder.message_, "it has more than 500 scans");
    std::longjmp(decoder.jump_, 1);
  }

  Bytes bytes_;
  const std::string& name_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  bool lacks_end_ = false, unsupported_ = false;
  std::array<bool, MAX_COMPONENTS> scanned_{};  ///< components that a scan has been read of
  char message_[JMSG_LENGTH_MAX] = {};
};

}  // namespace

ImagePart decode_jpeg(Bytes bytes, const std::string& name, const std::function<Box(ImageSize)>& choose,
                      ImageSize out) {
  return JpegDecoder(bytes, name).decode(choose, out);
}

}  // namespace convoy
