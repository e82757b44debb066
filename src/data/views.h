// Ways of looking at an image that is evaluated: once, or several times whose answers are averaged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/shape.h"
#include "src/config/config.h"
#include "src/io/resize.h"

namespace convoy {

struct View {
  Cut cut = Cut::middle;  ///< of pictures that are resized
  bool mirrored = false;  ///< left and right
  bool operator==(const View&) const = default;
};

/// Of test-time augmentation: "none", the image as it is; "flip", and mirrored; "five_crop", the four corners
/// and the middle of the resized picture. Throws Error (exit code 2) for five_crop of images that are not cut
/// out of larger ones, and for other words.
std::vector<View> views_of(const std::string& tta, const DataConfig& config);

/// Mirrors an image (D,H,W,C) in its place.
void mirror(const FeatureShape& shape, std::uint8_t* pixels);

}  // namespace convoy
