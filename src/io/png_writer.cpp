// libpng's simplified interface: it reports errors as values, where the other one jumps over destructors.
#include "src/io/png_writer.h"

#include <png.h>

#include "core/error.h"
#include "src/io/atomic_file.h"

namespace convoy {

std::string encode_png(const PngImage& image) {
  const auto count = std::int64_t{image.height} * image.width * image.channels;
  if ((image.channels != 1 && image.channels != 3) || image.height < 1 || image.width < 1 ||
      count != static_cast<std::int64_t>(image.pixels.size())) {
    fail("internal error: a PNG of {}x{} pixels with {} channel(s) from {} values", image.height, image.width,
         image.channels, image.pixels.size());
  }

  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);  // shrinks to what was needed
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0)
    fail("cannot make a PNG of {}x{} pixels: {}", image.height, image.width, header.message);
  bytes.resize(size);
  return bytes;
}

void write_png(const std::filesystem::path& path, const PngImage& image) {
  write_file_atomically(path, encode_png(image));
}

}  // namespace convoy
