// Tensor maps of the copy engine.
#pragma once

#include <cuda.h>

namespace convoy::probe {

/// Images (images,side,side,channels) of 16-bit values, or of them every `step`-th row and column from `row`
/// and `column` on.
struct ImageView {
  const void* tensor;
  CUtensorMapDataType type;
  int images, side, channels;
  int step = 1, row = 0, column = 0;
};
/// What one copy moves, of 64 channels.
struct Box {
  int width, images, rows;
};

/// The view as a tensor (C, W, image, H), with the 128-byte swizzle in shared memory and zeros outside.
CUtensorMap image_map(const ImageView& view, Box box);
/// Filters (filters,3,3,channels) as (C, tap, K), in boxes of 64 x 1 x 64.
CUtensorMap filter_map(const void* tensor, CUtensorMapDataType type, int channels, int filters);

}  // namespace convoy::probe
