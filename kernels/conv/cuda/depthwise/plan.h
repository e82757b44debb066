// How a depthwise convolution is cut into blocks. Plain C++: tests reach it without a GPU.
//
// Kernels for windows of 3x3, 5x5 and 7x7 with strides 1 and 2 (strips) read memory about once; other
// windows, volumes and channels that no whole vector holds have kernels for anything, a thread per result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ceil_div.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/plan.h"

namespace convoy {

/// A thread has a vector of channels; a block has up to eight of them side by side, which fill a cache line.
struct ChannelBlocks {
  static constexpr int most_vectors = 8;
  int width;    ///< channels of a vector
  int vectors;  ///< of a block
  int blocks;   ///< that cover all channels
};
constexpr ChannelBlocks channel_blocks(int channels, int width) {
  const int all = channels / width, blocks = ceil_div(all, ChannelBlocks::most_vectors);
  return {width, ceil_div(all, blocks), blocks};
}

/// The widest vector of channels stored as that type: 16 bytes, or less where they do not divide the
/// channels.
constexpr int vector_width(int channels, DType stored) {
  const int full = stored == DType::f32 ? 4 : 8;
  for (const int width : {full, 4}) {
    if (channels % width == 0) return width;
  }
  return 1;
}

/// Whether the kernels that work by strips know the window.
inline bool has_strips(const ConvShape& s) {
  const bool flat = s.t == 1 && s.stride[0] == 1 && s.pad[0] == 0 && s.dilation == Axes{1, 1, 1};
  const bool size = s.r == s.s && (s.r == 3 || s.r == 5 || s.r == 7);
  return flat && size && s.stride[1] == s.stride[2] && (s.stride[1] == 1 || s.stride[1] == 2);
}

constexpr int depthwise_threads = 256;
constexpr int most_depthwise_rows = 64;  ///< of a block, along its third axis: CUDA has no more there
constexpr int strip_length = 4;          ///< pixels that a thread computes side by side

/// Rows of output pixels that a block of wgrad sums side by side, one per lane.
inline int depthwise_wgrad_lanes(const ConvShape& s, DType stored) {
  const ChannelBlocks channels = channel_blocks(s.in.c, vector_width(s.in.c, stored));
  return std::clamp(depthwise_threads / (channels.vectors * s.r), 1, most_depthwise_rows);
}

/// Rows of output pixels in parts, a block for each part and block of channels. From shape and type alone: it
/// sets the order of the sum.
inline WgradPlan plan_depthwise_wgrad(const ConvShape& s, DType stored) {
  constexpr std::int64_t blocks_per_multiprocessor = 6, most_partials = 16 << 20;  // floats
  const FeatureShape out = s.out();
  const std::int64_t rows = std::int64_t{s.n} * out.d * out.h;
  const ChannelBlocks channels = channel_blocks(s.in.c, vector_width(s.in.c, stored));
  const std::int64_t wanted =
      std::clamp<std::int64_t>(reference_gpu.multiprocessors * blocks_per_multiprocessor / channels.blocks, 1,
                               std::max<std::int64_t>(1, most_partials / s.weights()));
  const std::int64_t lanes = depthwise_wgrad_lanes(s, stored);
  const std::int64_t chunk = ceil_div(std::max(ceil_div(rows, wanted), 2 * lanes), lanes) * lanes;
  return {static_cast<int>(std::max<std::int64_t>(1, ceil_div(rows, chunk))), static_cast<int>(chunk)};
}

}  // namespace convoy
