// Stands in for image_webp.cpp in a build without libwebp.
#include "core/error.h"
#include "src/io/image.h"

namespace convoy {

const bool reads_webp = false;

Image decode_webp(std::span<const std::uint8_t>, const std::string& name) {
  fail(
      "{}: a WebP file, which this program cannot read: it was built without libwebp (libwebp-dev). Convert "
      "the file to PNG, or build again with the library",
      name);
}

}  // namespace convoy
