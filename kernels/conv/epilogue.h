// What a convolution does with its results before it stores them. Plain C++, so that tests need no GPU.
#pragma once

#include <cstdint>

#include "core/ceil_div.h"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

/// Moments are taken of so many output pixels at a time. Every tile's rows are a multiple of it, so that the
/// tile never changes a bit.
constexpr int moment_pixels = 64;
constexpr std::int64_t moment_groups(std::int64_t pixels) {
  return ceil_div(pixels, moment_pixels);
}

struct Epilogue {
  LeakyReluEpilogue activation{};
  /// (moment_groups, 2, K), or null: the sums of a group's stored values and of their squares.
  float* moments = nullptr;
};

}  // namespace convoy
