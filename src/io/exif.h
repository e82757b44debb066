// How a camera was held.
#pragma once

#include <cstdint>
#include <span>

#include "src/io/image.h"

namespace convoy {

/// The orientation that EXIF data tells (CIPA DC-008, tag 0x0112 of the first directory): 1 is upright, 2 to
/// 8 are the other symmetries of a rectangle. 1 also where nothing, or nonsense, is said. `exif` begins with
/// the byte order, "II" or "MM", or with "Exif\0\0" before that.
int exif_orientation(std::span<const std::uint8_t> exif);

/// The picture as it was seen: orientations 5 to 8 exchange rows and columns.
Image upright(Image stored, int orientation);

}  // namespace convoy
