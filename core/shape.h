// Shapes of what flows between layers, per image. A volume has depth; for images d = 1.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace convoy {

/// One image's features (D,H,W,C), channels last.
struct FeatureShape {
  int d = 1, h = 1, w = 1, c = 1;
  std::int64_t count() const { return std::int64_t{d} * h * w * c; }
  std::int64_t pixels() const { return std::int64_t{d} * h * w; }
  bool operator==(const FeatureShape&) const = default;
};

/// C,H,W or C,D,H,W, as configurations have it.
inline FeatureShape feature_shape(const std::vector<int>& sizes) {
  check(sizes.size() == 3 || sizes.size() == 4, "an image's shape has three or four numbers");
  const bool flat = sizes.size() == 3;
  return {flat ? 1 : sizes[1], sizes[sizes.size() - 2], sizes.back(), sizes[0]};
}

inline std::string to_string(const FeatureShape& s) {
  return s.d == 1 ? fmt::format("({},{},{})", s.h, s.w, s.c)
                  : fmt::format("({},{},{},{})", s.d, s.h, s.w, s.c);
}

/// Depth, height, width of a window, stride, padding or dilation.
using Axes = std::array<int, 3>;

/// Output length of a window sliding over `in`: floor((in + 2 pad - dilation (kernel - 1) - 1) / stride) + 1.
constexpr int window_output(int in, int kernel, int stride, int pad, int dilation) {
  const int span = in + 2 * pad - dilation * (kernel - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

}  // namespace convoy
