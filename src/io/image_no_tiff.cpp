// Stands in for image_tiff.cpp in a build without libtiff.
#include "core/error.h"
#include "src/io/image.h"

namespace convoy {

const bool reads_tiff = false;

Image decode_tiff(std::span<const std::uint8_t>, const std::string& name) {
  fail(
      "{}: a TIFF file, which this program cannot read: it was built without libtiff (libtiff-dev). Convert "
      "the file to PNG, or build again with the library",
      name);
}

}  // namespace convoy
