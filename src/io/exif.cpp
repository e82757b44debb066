#include "src/io/exif.h"

#include <cstring>

namespace convoy {

namespace {

/// Bytes of an integer of this TIFF type; 0 for other types.
std::size_t bytes_of_type(std::size_t type) {
  switch (type) {
    case 1:  // BYTE, SBYTE
    case 6:
      return 1;
    case 3:  // SHORT, SSHORT
    case 8:
      return 2;
    case 4:  // LONG, SLONG
    case 9:
      return 4;
    default:
      return 0;
  }
}

}  // namespace

std::optional<int> exif_orientation(std::span<const std::uint8_t> exif) {
  constexpr std::size_t mark = 6, entry_bytes = 12;
  const bool marked = exif.size() >= mark && std::memcmp(exif.data(), "Exif\0\0", mark) == 0;
  const std::span<const std::uint8_t> tiff = exif.subspan(marked ? mark : 0);
  if (tiff.size() < 8 || (std::memcmp(tiff.data(), "II", 2) != 0 && std::memcmp(tiff.data(), "MM", 2) != 0))
    return std::nullopt;
  const bool little = tiff[0] == 'I';
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | tiff[at + (little ? bytes - 1 - i : i)];
    return value;
  };
  const std::size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return std::nullopt;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * entry_bytes;
    if (entry + entry_bytes > tiff.size()) break;
    if (number(entry, 2) != 0x0112) continue;
    const std::size_t value = number(entry + 8, bytes_of_type(number(entry + 2, 2)));
    return value >= 1 && value <= 8 ? std::optional(static_cast<int>(value)) : std::nullopt;
  }
  return std::nullopt;
}

Mirrored mirrored_by(int orientation) {
  return {orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8,
          orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7};
}

Image upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  Image image;
  const bool turned = orientation >= 5;
  image.height = turned ? stored.width : stored.height;
  image.width = turned ? stored.height : stored.width;
  image.lacks_end = stored.lacks_end;
  image.pixels.resize(stored.pixels.size());
  const auto [bottom_up, right_to_left] = mirrored_by(orientation);
  std::uint8_t* out = image.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x, out += 3) {
      // A turned picture's columns are stored rows.
      const int column = right_to_left ? image.width - 1 - x : x, row = bottom_up ? image.height - 1 - y : y;
      const auto at =
          static_cast<std::size_t>(turned ? column : row) * static_cast<std::size_t>(stored.width) +
          static_cast<std::size_t>(turned ? row : column);
      std::memcpy(out, stored.pixels.data() + 3 * at, 3);
    }
  }
  return image;
}

}  // namespace convoy
