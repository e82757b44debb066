// Convolution as matrix products: which element of which tensor is at (row, column) of each operand.
//
// fprop  y (pixels,K)    = gather(x) (pixels, taps·C) * w (K, taps·C)ᵀ
// dgrad  dx (pixels,C)   = gather(dy) (pixels, taps·K) * w (taps·K, C), a product per residue of the
//                          stride: no tap is multiplied that does not reach the pixel
// wgrad  dw (K, taps·C)  = dy (pixels,K)ᵀ * gather(x) (pixels, taps·C)
//
// Operands are never stored: a kernel computes addresses in the tensors. No CUDA here, so that tests reach it
// without a GPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/ceil_div.h"
#include "core/host_device.h"
#include "kernels/conv/conv.h"
#include "kernels/fast_divide.h"

namespace convoy {

/// Window i reads, at its tap j, the source coordinate i·stride + offset + j·step; outside [0, length) it
/// reads zero.
struct GatherAxis {
  int windows = 1, stride = 1, offset = 0, taps = 1, step = 1, length = 1;
};

/// Which pixels a window sees: `origin` points at the (possibly outside) coordinate (d,h,w) of its first tap.
template <class T>
struct GatherPixel {
  const T* origin;
  int d, h, w;
};
struct GatherWindow {
  int n, d, h, w;
};

/// A channel of a tap, counted over T·R·S, and how far it is from the window's first, in coordinates and
/// elements.
struct GatherTap {
  int c, tap;
  int d, h, w, offset;
};

struct TapPlace {
  int t, r, s;
};

constexpr int outside_source = -(1 << 30);  ///< a coordinate that no window or tap brings back inside

/// The matrix (images · windows, taps · channels) gathered from source (N,D,H,W,channels), stored as T.
template <class T>
struct Gather {
  using Pixel = GatherPixel<T>;
  using Tap = GatherTap;
  const T* source = nullptr;
  int channels = 1;
  GatherAxis d, h, w;
  int rows = 0;     ///< images · windows
  int columns = 0;  ///< taps · channels
  int taps = 1;
  FastDivide by_d, by_h, by_w;  ///< windows
  FastDivide by_channels, by_taps_h, by_taps_w;

  void finish(int n) {
    rows = n * d.windows * h.windows * w.windows;
    taps = d.taps * h.taps * w.taps;
    columns = taps * channels;
    const auto divide_by = [](int windows) {
      return FastDivide(static_cast<std::uint32_t>(std::max(1, windows)));
    };
    by_d = divide_by(d.windows), by_h = divide_by(h.windows), by_w = divide_by(w.windows);
    by_channels = divide_by(channels), by_taps_h = divide_by(h.taps), by_taps_w = divide_by(w.taps);
  }

  CONVOY_HOST_DEVICE GatherWindow window(int row) const {
    auto rest = static_cast<std::uint32_t>(row);
    const auto at_w = by_w.divide(rest), at_h = by_h.divide(rest), at_d = by_d.divide(rest);
    return {static_cast<int>(rest), static_cast<int>(at_d), static_cast<int>(at_h), static_cast<int>(at_w)};
  }
  CONVOY_HOST_DEVICE Pixel pixel(int row) const {
    if (row >= rows) return {source, outside_source, outside_source, outside_source};
    const GatherWindow at = window(row);
    const int pd = at.d * d.stride + d.offset, ph = at.h * h.stride + h.offset,
              pw = at.w * w.stride + w.offset;
    const std::int64_t row_index = (std::int64_t{at.n} * d.length + pd) * h.length + ph;
    return {source + (row_index * w.length + pw) * channels, pd, ph, pw};
  }
  CONVOY_HOST_DEVICE TapPlace tap_at(int tap) const {
    auto rest = static_cast<std::uint32_t>(tap);
    const auto s = by_taps_w.divide(rest), r = by_taps_h.divide(rest);
    return {static_cast<int>(rest), static_cast<int>(r), static_cast<int>(s)};
  }
  CONVOY_HOST_DEVICE void place(GatherTap& tap) const {
    const TapPlace at = tap_at(tap.tap);
    const int steps_d = at.t * d.step;
    tap.d = tap.tap < taps ? steps_d : outside_source;
    tap.h = at.r * h.step;
    tap.w = at.s * w.step;
    tap.offset = ((steps_d * h.length + tap.h) * w.length + tap.w) * channels + tap.c;
  }
  CONVOY_HOST_DEVICE GatherTap tap(int column) const {
    auto tap = static_cast<std::uint32_t>(column);
    const auto c = by_channels.divide(tap);
    GatherTap at{static_cast<int>(c), static_cast<int>(tap), 0, 0, 0, 0};
    place(at);
    return at;
  }
  /// True when the tap has changed, not only the channel.
  CONVOY_HOST_DEVICE bool advance(GatherTap& tap, int steps) const {
    tap.c += steps;
    tap.offset += steps;
    if (tap.c < channels) return false;
    do {
      tap.c -= channels;
      ++tap.tap;
    } while (tap.c >= channels);
    place(tap);
    return true;
  }
  /// Elsewhere the matrix is zero.
  CONVOY_HOST_DEVICE bool inside(const Pixel& pixel, const GatherTap& tap) const {
    return static_cast<unsigned>(pixel.d + tap.d) < static_cast<unsigned>(d.length) &&
           static_cast<unsigned>(pixel.h + tap.h) < static_cast<unsigned>(h.length) &&
           static_cast<unsigned>(pixel.w + tap.w) < static_cast<unsigned>(w.length);
  }
  CONVOY_HOST_DEVICE const T* address(const Pixel& pixel, const GatherTap& tap) const {
    return pixel.origin + tap.offset;
  }
};

/// The same matrix for kernels of up to `most_masked_taps` per axis, made for testing many pixels against one
/// tap: a pixel knows which taps of each axis reach the source, a tap which three bits it needs. For a source
/// of fewer than 2^31 elements.
constexpr int most_masked_taps = 10;
template <class T>
struct MaskedGather {
  struct Pixel {
    int origin;  ///< elements from the source: a register less per row than a pointer
    std::uint32_t valid_mask;
  };
  struct Tap {
    int c, tap, offset;
    std::uint32_t required_mask;
  };
  const Gather<T>& gather;

  /// Bit i: tap i of the axis lies inside, the window's first being at `first`.
  CONVOY_HOST_DEVICE static std::uint32_t valid_along(const GatherAxis& axis, int first) {
    if (axis.step == 1 || axis.step == -1) {  // those inside are neighbours: [begin, end)
      const int before = axis.step == 1 ? -first : first - axis.length + 1;
      const int until = axis.step == 1 ? axis.length - first : first + 1;
      const int begin = before > 0 ? before : 0, end = until < axis.taps ? until : axis.taps;
      return begin < end ? (1u << end) - (1u << begin) : 0u;
    }
    std::uint32_t bits = 0;
    for (int i = 0; i < axis.taps; ++i) {
      const auto at = static_cast<unsigned>(first + i * axis.step);
      bits |= (at < static_cast<unsigned>(axis.length) ? 1u : 0u) << i;
    }
    return bits;
  }
  CONVOY_HOST_DEVICE Pixel pixel(int row) const {
    const GatherPixel<T> at = gather.pixel(row);
    return {static_cast<int>(at.origin - gather.source),
            valid_along(gather.d, at.d) | valid_along(gather.h, at.h) << most_masked_taps |
                valid_along(gather.w, at.w) << 2 * most_masked_taps};
  }
  CONVOY_HOST_DEVICE Tap with_mask(const GatherTap& at) const {
    if (at.tap >= gather.taps) return {at.c, at.tap, at.offset, 1u << 31};  // a bit that no pixel has
    const TapPlace place = gather.tap_at(at.tap);
    return {at.c, at.tap, at.offset,
            1u << place.t | 1u << (most_masked_taps + place.r) | 1u << (2 * most_masked_taps + place.s)};
  }
  CONVOY_HOST_DEVICE Tap tap(int column) const { return with_mask(gather.tap(column)); }
  CONVOY_HOST_DEVICE bool advance(Tap& tap, int steps) const {
    GatherTap at{tap.c, tap.tap, 0, 0, 0, tap.offset};
    const bool changed = gather.advance(at, steps);
    if (changed)
      tap = with_mask(at);
    else
      tap.c = at.c, tap.offset = at.offset;
    return changed;
  }
  CONVOY_HOST_DEVICE bool inside(const Pixel& pixel, const Tap& tap) const {
    return (pixel.valid_mask & tap.required_mask) == tap.required_mask;
  }
  CONVOY_HOST_DEVICE const T* address(const Pixel& pixel, const Tap& tap) const {
    return gather.source + (pixel.origin + tap.offset);
  }
};

/// The gather of fprop and wgrad: windows are output pixels, the source is x.
template <class T>
Gather<T> forward_gather(const ConvShape& shape, const T* x) {
  const FeatureShape out = shape.out();
  const auto axis = [&](int i, int windows, int taps, int length) {
    return GatherAxis{windows, shape.stride[i], -shape.pad[i], taps, shape.dilation[i], length};
  };
  Gather<T> gather;
  gather.source = x;
  gather.channels = shape.in.c;
  gather.d = axis(0, out.d, shape.t, shape.in.d);
  gather.h = axis(1, out.h, shape.r, shape.in.h);
  gather.w = axis(2, out.w, shape.s, shape.in.w);
  gather.finish(shape.n);
  return gather;
}

/// One axis of a residue class of dgrad: input coordinates first + i·stride, reached by taps tap_first +
/// j·tap_step only.
struct DgradAxis {
  GatherAxis gather;
  int first = 0, stride = 1, tap_first = 0, tap_step = 1;
};

/// Input coordinate i meets tap t at output (i + pad - t·dilation) / stride where that is whole. The taps
/// that solve it for i = residue (mod stride) are an arithmetic progression, and the output coordinate is
/// affine in its index.
inline DgradAxis dgrad_axis(int residue, int in, int out, int taps, int stride, int pad, int dilation) {
  DgradAxis axis;
  axis.first = residue, axis.stride = stride;
  axis.gather.windows = ceil_div(in - residue, stride);
  axis.gather.length = out;
  axis.tap_step = 1;
  while (axis.tap_step * dilation % stride != 0) ++axis.tap_step;  // stride / gcd(stride, dilation)
  int t = 0;
  while (t < axis.tap_step && (residue + pad - t * dilation) % stride != 0) ++t;
  const bool reached = t < axis.tap_step && t < taps;
  axis.tap_first = reached ? t : 0;
  axis.gather.taps = reached ? (taps - 1 - t) / axis.tap_step + 1 : 0;
  axis.gather.offset = reached ? (residue + pad - t * dilation) / stride : 0;
  axis.gather.step = -(axis.tap_step * dilation / stride);
  return axis;
}

/// One residue class: dx at its pixels = gather(dy) (windows, taps·K) * w at its taps (taps·K, C).
template <class T>
struct DgradClass {
  Gather<T> gather;
  DgradAxis d, h, w;
  /// Which tap of a kernel (T,R,S) the class's `tap` is.
  CONVOY_HOST_DEVICE int filter_tap(int tap, int kernel_height, int kernel_width) const {
    const TapPlace at = gather.tap_at(tap);
    const int t = d.tap_first + at.t * d.tap_step, r = h.tap_first + at.r * h.tap_step,
              s = w.tap_first + at.s * w.tap_step;
    return (t * kernel_height + r) * kernel_width + s;
  }
};

/// The classes of a dgrad that have pixels, those with most taps first: the long ones should not be started
/// last.
template <class T>
std::vector<DgradClass<T>> dgrad_classes(const ConvShape& shape, const T* dy) {
  const FeatureShape out = shape.out();
  std::vector<DgradClass<T>> classes;
  for (int d = 0; d < std::min(shape.stride[0], shape.in.d); ++d) {
    for (int h = 0; h < std::min(shape.stride[1], shape.in.h); ++h) {
      for (int w = 0; w < std::min(shape.stride[2], shape.in.w); ++w) {
        DgradClass<T> c;
        c.d = dgrad_axis(d, shape.in.d, out.d, shape.t, shape.stride[0], shape.pad[0], shape.dilation[0]);
        c.h = dgrad_axis(h, shape.in.h, out.h, shape.r, shape.stride[1], shape.pad[1], shape.dilation[1]);
        c.w = dgrad_axis(w, shape.in.w, out.w, shape.s, shape.stride[2], shape.pad[2], shape.dilation[2]);
        c.gather.source = dy;
        c.gather.channels = shape.k;
        c.gather.d = c.d.gather, c.gather.h = c.h.gather, c.gather.w = c.w.gather;
        c.gather.finish(shape.n);
        classes.push_back(c);
      }
    }
  }
  std::stable_sort(classes.begin(), classes.end(),
                   [](const auto& a, const auto& b) { return a.gather.columns > b.gather.columns; });
  return classes;
}

/// Classes that one launch of dgrad computes side by side: `classes` of them from `first` on.
struct DgradLaunch {
  std::size_t first = 0, classes = 0;
  std::int64_t rows = 0, most_rows = 0, columns = 0;  ///< of all, of the largest, and the most
};
constexpr std::size_t max_dgrad_classes = 8;
template <class T>
std::vector<DgradLaunch> dgrad_launches(const std::vector<DgradClass<T>>& classes) {
  std::vector<DgradLaunch> launches;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (i % max_dgrad_classes == 0) launches.push_back({i});
    DgradLaunch& launch = launches.back();
    const Gather<T>& gather = classes[i].gather;
    ++launch.classes;
    launch.rows += gather.rows;
    launch.most_rows = std::max<std::int64_t>(launch.most_rows, gather.rows);
    launch.columns = std::max<std::int64_t>(launch.columns, gather.columns);
  }
  return launches;
}

}  // namespace convoy
