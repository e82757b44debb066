// Pictures of other sizes.
#pragma once

#include <cstdint>

#include "src/io/image.h"

namespace convoy {

/// Resizes `box` of the image to `out`, pixels (h,w,3), by a triangle filter that is as wide as an output
/// pixel where the box shrinks (no aliasing) and linear interpolation where it grows: what Pillow's BILINEAR
/// and torchvision's `antialias=True` compute, to one level of 255. The box lies within the image.
void resize(const ImageView& image, const Box& box, ImageSize out, std::uint8_t* pixels);
/// The rows of the image that this looks at, and a few more below them.
struct RowRange {
  int first = 0, count = 0;
};
RowRange rows_to_resize(ImageSize image, const Box& box, ImageSize out);
Image resized(const ImageView& image, const Box& box, ImageSize out);

/// Which part of a resized picture is cut out, in the order of torchvision's FiveCrop.
enum class Cut { top_left, top_right, bottom_left, bottom_right, middle };

/// Where a picture is looked at in evaluation: its shorter side resized to `shorter` pixels, `out` cut from
/// the middle or from a corner. `shorter` is no less than either side of `out`. Rounds as torchvision's
/// Resize, CenterCrop and FiveCrop do.
Box cut_box(ImageSize image, int shorter, ImageSize out, Cut cut);
inline Box centre_box(ImageSize image, int shorter, ImageSize out) {
  return cut_box(image, shorter, out, Cut::middle);
}

/// How a network is shown a picture of any size that it is to classify.
struct PictureView {
  int shorter = 0;  ///< cut_box's
  /// A picture that has the size of the network's input is shown as it is.
  bool own_size_as_is = false;
  Cut cut = Cut::middle;

  Box box(ImageSize picture, ImageSize out) const;
};

/// The luma of ITU-R BT.601 of `count` pixels: rgb (count,3), gray (count).
void to_gray(const std::uint8_t* rgb, std::int64_t count, std::uint8_t* gray);

}  // namespace convoy
