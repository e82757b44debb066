#include <webp/decode.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "src/io/exif.h"
#include "src/io/image.h"

namespace convoy {

const bool reads_webp = true;

namespace {

using Bytes = std::span<const std::uint8_t>;

/// EXIF data is a chunk of the file (RIFF: four letters, a little-endian size, so many bytes and one more
/// where their number is odd) behind that of the pixels.
int orientation_of(Bytes file) {
  for (std::size_t at = 12; at + 8 <= file.size();) {
    const auto byte = [&](std::size_t i) { return std::size_t{file[at + 4 + i]}; };
    const std::size_t size = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    const Bytes rest = file.subspan(at + 8);
    if (std::memcmp(file.data() + at, "EXIF", 4) == 0)
      return exif_orientation(rest.first(std::min(size, rest.size()))).value_or(1);
    if (size >= rest.size()) break;
    at += 8 + size + size % 2;
  }
  return 1;
}

const char* problem_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "it ends early";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses what the format does not allow";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "no memory to decode it";
    default:
      return "its pixels cannot be decoded";
  }
}

}  // namespace

Image decode_webp(Bytes bytes, const std::string& name) {
  const auto require = [&](VP8StatusCode status) {
    if (status != VP8_STATUS_OK) fail("{}: a damaged WebP file: {}", name, problem_of(status));
  };
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0)
    fail("{}: libwebp of another version than this was built for", name);
  require(WebPGetFeatures(bytes.data(), bytes.size(), &config.input));
  if (config.input.has_animation != 0)
    fail("{}: an animated WebP file; Convoy reads those of one picture", name);
  check_image_size(config.input.height, config.input.width, bytes.size(), name, believed_pixels);
  Image image;
  image.height = config.input.height;
  image.width = config.input.width;
  image.pixels.resize(std::size_t{3} * static_cast<std::size_t>(image.height) *
                      static_cast<std::size_t>(image.width));
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {image.pixels.data(), 3 * image.width, image.pixels.size()};
  require(WebPDecode(bytes.data(), bytes.size(), &config));
  return upright(std::move(image), orientation_of(bytes));
}

}  // namespace convoy
