// How a camera was held.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "src/io/image.h"

namespace convoy {

/// The orientation that EXIF data tells (CIPA DC-008, tag 0x0112 of the first directory), whichever integer
/// type it has: 1 is upright, 2 to 8 are the other symmetries of a rectangle. Nothing where that is not said,
/// or is nonsense. `exif` begins with the byte order, "II" or "MM", or with "Exif\0\0" before that.
std::optional<int> exif_orientation(std::span<const std::uint8_t> exif);

/// Which axes of the picture as it was seen run against those of the stored one, once rows and columns are
/// exchanged.
struct Mirrored {
  bool rows = false, columns = false;
};
Mirrored mirrored_by(int orientation);

/// The picture as it was seen: orientations 5 to 8 exchange rows and columns.
Image upright(Image stored, int orientation);

}  // namespace convoy
