// Where the windows of a pooling lie along one axis, for every engine.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/shape.h"

namespace convoy {

/// [first, last) along one axis.
struct IndexRange {
  int first = 0, last = 0;
  CONVOY_HOST_DEVICE int count() const { return last - first; }
};

/// Windows of one axis. Sliding: window o begins at o·stride - pad. Adaptive: window o is what part o of
/// `out` equal parts touches, [floor(o·in / out), ceil((o+1)·in / out)), as in PyTorch's AdaptiveAvgPool.
struct PoolAxis {
  int in = 1, out = 1, kernel = 1, stride = 1, pad = 0;
  bool adaptive = false;

  /// With `ceil` there is a window for what is left over, too, unless it would begin behind the image (as in
  /// PyTorch's ceil_mode).
  static constexpr PoolAxis sliding(int in, int kernel, int stride, int pad, bool ceil) {
    int out = window_output(in, kernel, stride, pad, 1);
    const bool left_over = (out - 1) * stride + kernel < in + 2 * pad;
    if (ceil && left_over && out * stride < in + pad) ++out;
    return {in, out, kernel, stride, pad, false};
  }
  static constexpr PoolAxis parts(int in, int out) { return {in, out, 1, 1, 0, true}; }

  /// Where the window at output o begins in the input; negative inside the padding.
  CONVOY_HOST_DEVICE int start(int o) const {
    return adaptive ? static_cast<int>(std::int64_t{o} * in / out) : o * stride - pad;
  }
  /// Where it ends, maybe beyond the image.
  CONVOY_HOST_DEVICE int end(int o) const {
    return adaptive ? static_cast<int>(((std::int64_t{o} + 1) * in + out - 1) / out) : start(o) + kernel;
  }
  /// Taps k of the window at output o with start(o) + k inside the input.
  CONVOY_HOST_DEVICE IndexRange taps(int o) const {
    const int s = start(o), e = end(o);
    return {s < 0 ? -s : 0, (e < in ? e : in) - s};
  }
  /// Outputs whose window covers input i: start(o) <= i < end(o).
  CONVOY_HOST_DEVICE IndexRange covering(int i) const {
    if (adaptive) {
      return {static_cast<int>(std::int64_t{i} * out / in),
              static_cast<int>(((std::int64_t{i} + 1) * out + in - 1) / in)};
    }
    const int reach = i + pad - kernel;  // the first such o is floor(reach / stride) + 1
    const int last = (i + pad) / stride + 1;
    return {reach < 0 ? 0 : reach / stride + 1, last < out ? last : out};
  }
  /// Pixels that a mean at output o divides by: of the window within image and padding, or within the image.
  CONVOY_HOST_DEVICE int counted(int o, bool padding) const {
    if (!padding || adaptive) return taps(o).count();
    const int s = start(o), e = end(o);
    return (e < in + pad ? e : in + pad) - s;
  }
  /// Of all windows together.
  std::int64_t pixels_read() const {
    std::int64_t sum = 0;
    for (int o = 0; o < out; ++o) sum += taps(o).count();
    return sum;
  }
};

}  // namespace convoy
