#include "src/io/image.h"

#include <span>

#include "core/error.h"
#include "core/regular_file.h"
#include "src/io/image_format.h"

namespace convoy {

void check_image_size(std::int64_t height, std::int64_t width, std::size_t file_bytes,
                      const std::string& name, std::int64_t believed) {
  if (height < 1 || width < 1) fail("{}: an image of {} x {} pixels", name, width, height);
  if (height > most_pixels || width > most_pixels / height)
    fail("{}: an image of {} x {} pixels is more than the {} that are accepted", name, width, height,
         most_pixels);
  // Deflate packs 1,032 bytes into one (zlib's documentation), PNG eight pixels into each of these; JPEG
  // less.
  constexpr std::int64_t most_pixels_per_byte = 8 * 1032;
  if (height * width > believed &&
      height * width / most_pixels_per_byte > static_cast<std::int64_t>(file_bytes))
    fail("{}: a damaged file: {} bytes cannot hold {} x {} pixels", name, file_bytes, width, height);
}

namespace {

Image decode_whole(ImageFormat format, std::span<const std::uint8_t> bytes, const std::string& name) {
  switch (format) {
    case ImageFormat::png:
      return decode_png(bytes, name);
    case ImageFormat::webp:
      return decode_webp(bytes, name);
    case ImageFormat::bmp:
      return decode_bmp(bytes, name);
    case ImageFormat::tiff:
      return decode_tiff(bytes, name);
    case ImageFormat::jpeg:
      break;  // decoded in parts
  }
  fail("internal error: a picture's format without a decoder");
}

}  // namespace

ImagePart decode_part(std::span<const std::uint8_t> bytes, const std::string& name,
                      const std::function<Box(ImageSize)>& choose, ImageSize out) {
  if (bytes.empty()) fail("{}: the file is empty", name);
  const std::optional<ImageFormat> format = image_format(bytes);
  if (!format) fail("{}: {}", name, describe_foreign_file(bytes));
  if (format == ImageFormat::jpeg) return decode_jpeg(bytes, name, choose, out);
  ImagePart part;
  part.image = decode_whole(*format, bytes, name);
  part.box = choose(part.image.size());
  return part;
}

Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name, ImageSize at_least) {
  const auto all = [](ImageSize size) {
    return Box{0, 0, static_cast<double>(size.height), static_cast<double>(size.width), false};
  };
  return decode_part(bytes, name, all, at_least).image;
}

Image read_image(const std::filesystem::path& path, ImageSize at_least) {
  return decode_image(read_image_file(path), path.string(), at_least);
}

std::vector<std::uint8_t> read_image_file(const std::filesystem::path& path) {
  const RegularFile file(path);
  if (file.size() > most_file_bytes)
    fail("{}: {} bytes are more than the {} that an image file may have", path.string(), file.size(),
         most_file_bytes);
  std::vector<std::uint8_t> bytes(file.size());
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

}  // namespace convoy
