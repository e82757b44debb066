// Pictures from JPEG, PNG, WebP, BMP and TIFF files, whatever their names say they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace convoy {

/// In pixels.
struct ImageSize {
  int height = 0, width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// Red, green and blue of every pixel, as the eye sees the picture (a camera's orientation is applied). Gray
/// has three equal values; transparency is dropped, 16 bits a channel are rounded to 8.
struct Image {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  ///< (H,W,3)
  bool lacks_end = false;            ///< the file's end marker alone is missing; all pixels are there
  ImageSize size() const { return {height, width}; }
};

/// The same of pixels that lie elsewhere.
struct ImageView {
  ImageView(int h, int w, const std::uint8_t* values) : height(h), width(w), pixels(values) {}
  ImageView(const Image& image) : ImageView(image.height, image.width, image.pixels.data()) {}
  int height, width;
  const std::uint8_t* pixels;  ///< (H,W,3)
};

/// Part of an image, in pixels from its upper left corner; edges may lie within pixels.
struct Box {
  double top = 0, left = 0, height = 0, width = 0;
  /// Whether a filter at the box's edge keeps to the box (cut out, then resized) or reaches beyond it as far
  /// as the image goes (resized, then cut out).
  bool isolated = false;
  bool operator==(const Box&) const = default;
};

/// What was decoded, and where in it the box lies that was asked for.
struct ImagePart {
  Image image;
  Box box;
};

/// What to say of one that lacks_end.
inline constexpr const char* end_is_missing = "its end marker is missing, but all its pixels are there";

/// Pictures of more pixels are refused before memory is taken for them, and so are larger files.
inline constexpr std::int64_t most_pixels = std::int64_t{1} << 27;
inline constexpr std::uintmax_t most_file_bytes = std::uintmax_t{1} << 28;
/// WebP and TIFF may store a plain picture in a few bytes: up to this size they are believed.
inline constexpr std::int64_t believed_pixels = std::int64_t{1} << 24;

/// The picture in `bytes`, a whole file; of several in one file the first. JPEG may be decoded to 1/2, 1/4 or
/// 1/8 of its size, as long as the result has `at_least` that height and width; {0, 0} stands for the full
/// size. Throws Error that names `name` and says what is wrong: another format, damaged, cut short, too
/// large.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name, ImageSize at_least = {});

/// The same, of a file.
Image read_image(const std::filesystem::path& path, ImageSize at_least = {});

/// What is needed to resize a part of the picture to `out`: `choose` is called once with the picture's size
/// and returns the box, which lies within. Of a JPEG no more is decoded than that takes, and at the smallest
/// scale at which the box has as many pixels as `out` in both directions.
ImagePart decode_part(std::span<const std::uint8_t> bytes, const std::string& name,
                      const std::function<Box(ImageSize)>& choose, ImageSize out);

/// The bytes of an image file. Throws Error that names it when it cannot be read or is too large.
std::vector<std::uint8_t> read_image_file(const std::filesystem::path& path);

// One decoder per format, as decode_part. `bytes` begin as the format's files do.
ImagePart decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                      const std::function<Box(ImageSize)>& choose, ImageSize out);
/// Whether the library for it was there when this program was built; without it decode_... says so and
/// throws.
extern const bool reads_webp, reads_tiff;
Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name);
Image decode_webp(std::span<const std::uint8_t> bytes, const std::string& name);
Image decode_bmp(std::span<const std::uint8_t> bytes, const std::string& name);
Image decode_tiff(std::span<const std::uint8_t> bytes, const std::string& name);

/// Throws Error that names the file when a picture of this size is refused: too large, or of more than
/// `believed` pixels and more than a file of so many bytes can hold.
void check_image_size(std::int64_t height, std::int64_t width, std::size_t file_bytes,
                      const std::string& name, std::int64_t believed = 0);

}  // namespace convoy
