// Images as PNG, for people to look at.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace convoy {

/// pixels (height,width,channels), rows from the top; channels is 1 (gray) or 3 (red, green, blue).
struct PngImage {
  int height = 0, width = 0, channels = 0;
  std::span<const std::uint8_t> pixels;
};

/// The bytes of a PNG file. Throws Error for other channels, an empty image, a size that is not that of the
/// pixels, or one beyond what libpng writes (a side of 1,000,000).
std::string encode_png(const PngImage& image);

/// The same as a file, whole or absent. Throws Error, too, when it cannot be written.
void write_png(const std::filesystem::path& path, const PngImage& image);

}  // namespace convoy
