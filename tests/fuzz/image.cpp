// The decoders of pictures, and the resizing of what they decode. An input is a JPEG or PNG file; its last
// byte chooses the part that is wanted. What libjpeg and libpng allocate is limited by tools/fuzz for the
// process.
#include "src/io/image.h"

#include "src/io/resize.h"
#include "tests/fuzz/fuzz.h"

using namespace convoy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const fuzz::Bytes bytes{data, size};
  const int choice = bytes.back();
  const ImageSize out{1 + choice % 5, 1 + choice % 7};
  ImagePart part;
  const bool accepted = fuzz::accepts([&] {
    part = decode_part(
        bytes, "fuzz",
        [&](ImageSize whole) {
          const double share = 1.0 / (1 + choice % 4), place = (choice % 3) / 2.0 * (1 - share);
          return Box{place * whole.height, place * whole.width, share * whole.height, share * whole.width,
                     choice % 2 == 1};
        },
        out);
  });
  if (!accepted) return 0;
  const Image& image = part.image;
  fuzz::require(image.height > 0 && image.width > 0, "a picture has pixels");
  fuzz::require(image.pixels.size() == std::size_t{3} * static_cast<std::size_t>(image.height) *
                                           static_cast<std::size_t>(image.width),
                "three bytes a pixel");
  const Image small = resized(image, part.box, out);  // throws, and so crashes, where the box is not within
  fuzz::require(small.size() == out, "the size that was wanted");
  return 0;
}
