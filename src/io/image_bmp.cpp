// BMP, without a library since the usual systems package none: a header, masks or a palette, then plain rows,
// each padded to whole words. Compressed ones, which nearly no program writes, are refused by name.
#include <array>
#include <bit>
#include <cstdlib>

#include "core/error.h"
#include "src/io/image.h"

namespace convoy {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Little-endian numbers at a place in the file. Throws where it ends before.
class BmpBytes {
 public:
  BmpBytes(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Bytes range(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) damaged("it ends early");
    return bytes_.subspan(at, count);
  }
  std::uint32_t number(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | range(at, count)[i];
    return value;
  }
  std::uint32_t u32(std::size_t at) const { return number(at, 4); }
  std::int32_t i32(std::size_t at) const { return static_cast<std::int32_t>(u32(at)); }
  std::uint32_t u16(std::size_t at) const { return number(at, 2); }

  [[noreturn]] void damaged(const std::string& why) const { fail("{}: a damaged BMP file: {}", name_, why); }

 private:
  Bytes bytes_;
  const std::string& name_;
};

/// The bits of a colour in a pixel.
struct Mask {
  std::uint32_t bits = 0;
  /// 0 to 255, whatever the number of bits.
  std::uint8_t level(std::uint32_t pixel) const {
    if (bits == 0) return 0;
    const int shift = std::countr_zero(bits);
    const std::uint64_t most = bits >> shift, value = (pixel & bits) >> shift;
    return static_cast<std::uint8_t>((value * 255 + most / 2) / most);
  }
};

struct BmpHeader {
  std::int64_t height = 0, width = 0;
  bool top_down = false;
  std::uint32_t bits = 0;     ///< of a pixel
  std::size_t pixels = 0;     ///< where they begin
  std::array<Mask, 3> masks;  ///< of 16 and 32 bits
  std::size_t palette = 0, entry_bytes = 4, colours = 0;
};

constexpr std::size_t file_header = 14;

BmpHeader read_header(const BmpBytes& file, const std::string& name) {
  enum : std::uint32_t { plain = 0, bit_fields = 3, alpha_bit_fields = 6 };
  BmpHeader header;
  const std::size_t size = file.u32(file_header);
  const bool core = size == 12;  // of OS/2 1.x
  if (!core && size < 40) file.damaged(fmt::format("a header of {} bytes", size));
  header.pixels = file.u32(10);
  header.width = core ? std::int64_t{file.u16(18)} : file.i32(18);
  header.height = core ? std::int64_t{file.u16(20)} : file.i32(22);
  header.bits = file.u16(core ? 24 : 28);
  header.top_down = header.height < 0;
  header.height = std::abs(header.height);
  const std::uint32_t compression = core ? plain : file.u32(30);
  const bool has_masks = compression == bit_fields || compression == alpha_bit_fields;
  if (compression != plain && !has_masks)
    fail("{}: a compressed BMP file; Convoy reads plain ones: convert it to PNG", name);
  if (has_masks && header.bits != 16 && header.bits != 32)
    file.damaged(fmt::format("masks for {} bits a pixel", header.bits));
  if (has_masks) {
    for (std::size_t i = 0; i < 3; ++i) header.masks[i].bits = file.u32(file_header + 40 + 4 * i);
  } else if (header.bits == 16) {
    header.masks = {Mask{0x7C00}, Mask{0x03E0}, Mask{0x001F}};
  } else if (header.bits == 32) {
    header.masks = {Mask{0xFF0000}, Mask{0xFF00}, Mask{0xFF}};
  }
  header.palette = file_header + size + (has_masks && size == 40 ? 12 : 0);
  header.entry_bytes = core ? 3 : 4;
  if (header.bits == 1 || header.bits == 4 || header.bits == 8) {
    header.colours = std::size_t{1} << header.bits;
    const std::size_t used = core ? 0 : file.u32(46);
    if (used > 0 && used < header.colours) header.colours = used;
  } else if (header.bits != 16 && header.bits != 24 && header.bits != 32) {
    file.damaged(fmt::format("{} bits a pixel", header.bits));
  }
  return header;
}

/// Red, green and blue of pixel x of a row.
std::array<std::uint8_t, 3> colour_at(const BmpHeader& header, Bytes palette, Bytes row, std::size_t x) {
  if (header.bits == 24) return {row[3 * x + 2], row[3 * x + 1], row[3 * x]};
  if (header.bits <= 8) {
    const std::size_t per_byte = 8 / header.bits;
    const unsigned shift = static_cast<unsigned>(8 - header.bits * (x % per_byte + 1));
    const std::size_t index = row[x / per_byte] >> shift & ((1u << header.bits) - 1);
    if (index >= header.colours) return {0, 0, 0};  // as other readers show it
    const Bytes entry = palette.subspan(index * header.entry_bytes, 3);
    return {entry[2], entry[1], entry[0]};
  }
  const std::size_t count = header.bits / 8;
  std::uint32_t pixel = 0;
  for (std::size_t i = count; i-- > 0;) pixel = pixel << 8 | row[count * x + i];
  return {header.masks[0].level(pixel), header.masks[1].level(pixel), header.masks[2].level(pixel)};
}

}  // namespace

Image decode_bmp(Bytes bytes, const std::string& name) {
  const BmpBytes file(bytes, name);
  const BmpHeader header = read_header(file, name);
  check_image_size(header.height, header.width, bytes.size(), name);
  const auto width = static_cast<std::size_t>(header.width), height = static_cast<std::size_t>(header.height);
  const std::size_t row_bytes = (width * header.bits + 31) / 32 * 4;
  const Bytes palette = file.range(header.palette, header.colours * header.entry_bytes);
  file.range(header.pixels, row_bytes * height);
  Image image{static_cast<int>(height), static_cast<int>(width), {}};
  image.pixels.reserve(3 * width * height);
  for (std::size_t y = 0; y < height; ++y) {
    const std::size_t stored = header.top_down ? y : height - 1 - y;
    const Bytes row = file.range(header.pixels + stored * row_bytes, row_bytes);
    for (std::size_t x = 0; x < width; ++x)
      for (const std::uint8_t value : colour_at(header, palette, row, x)) image.pixels.push_back(value);
  }
  return image;
}

}  // namespace convoy
