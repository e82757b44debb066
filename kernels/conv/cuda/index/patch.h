// Windows of neighbouring output pixels read pixels of the source that lie close together: a patch of it, one
// run of pixels in memory, which a block copies as it is, once for all taps. Which pixel of the patch a
// window reads at a tap is the sum of two numbers, one of the window and one of the tap; where that pixel
// lies outside the image, a window reads a pixel of zeros instead. No CUDA here, so that tests reach it
// without a GPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "core/ceil_div.h"
#include "core/host_device.h"
#include "kernels/conv/cuda/index/gather.h"

namespace convoy {

/// Pixels of the source, counted from its first, [begin, end).
struct PixelRun {
  int begin, end;
};

/// A window, or a tap, as a patch sees it.
struct PatchWindow {
  int first;                 ///< the pixel of its first tap, be it inside or not
  std::uint32_t valid_mask;  ///< as MaskedGather's
};
struct alignas(16) PatchTap {
  int offset;  ///< pixels from a window's first tap
  std::uint32_t required_mask;
  int filter;  ///< elements from a filter's beginning; for its user to fill in
};

template <class T>
struct PatchedGather {
  const Gather<T>& gather;
  int source_pixels;

  CONVOY_HOST_DEVICE int first_pixel(const GatherWindow& at) const {
    const GatherAxis &d = gather.d, &h = gather.h, &w = gather.w;
    const int pd = at.d * d.stride + d.offset, ph = at.h * h.stride + h.offset,
              pw = at.w * w.stride + w.offset;
    return ((at.n * d.length + pd) * h.length + ph) * w.length + pw;
  }
  CONVOY_HOST_DEVICE PatchWindow window(int row) const {
    if (row >= gather.rows) return {0, 0};
    const GatherWindow at = gather.window(row);
    const auto valid = [&](const GatherAxis& axis, int i) {
      return MaskedGather<T>::valid_along(axis, i * axis.stride + axis.offset);
    };
    return {first_pixel(at), valid(gather.d, at.d) | valid(gather.h, at.h) << most_masked_taps |
                                 valid(gather.w, at.w) << 2 * most_masked_taps};
  }
  CONVOY_HOST_DEVICE PatchTap tap(int index) const {
    const TapPlace at = gather.tap_at(index);
    return {(at.t * gather.d.step * gather.h.length + at.r * gather.h.step) * gather.w.length +
                at.s * gather.w.step,
            1u << at.t | 1u << (most_masked_taps + at.r) | 1u << (2 * most_masked_taps + at.s), 0};
  }
  /// Smallest and largest tap offset.
  CONVOY_HOST_DEVICE int nearest_tap() const { return reach(-1); }
  CONVOY_HOST_DEVICE int furthest_tap() const { return reach(1); }

  /// What windows [row, row + windows) read, and more; row < rows.
  CONVOY_HOST_DEVICE PixelRun patch(int row, int windows) const {
    const int last = row + windows < gather.rows ? row + windows - 1 : gather.rows - 1;
    const int begin = first_pixel(gather.window(row)) + nearest_tap(),
              end = first_pixel(gather.window(last)) + furthest_tap() + 1;
    const auto inside = [&](int pixel) {
      return pixel < 0 ? 0 : pixel < source_pixels ? pixel : source_pixels;
    };
    return {inside(begin), inside(end)};
  }

  /// Whether a later window begins at a later pixel, or at the same: then a patch reaches from its first
  /// window's to its last one's.
  bool in_order() const {
    const GatherAxis &d = gather.d, &h = gather.h, &w = gather.w;
    const std::int64_t line = std::int64_t{h.stride} * w.length,
                       plane = std::int64_t{d.stride} * h.length * w.length,
                       image = std::int64_t{d.length} * h.length * w.length;
    const std::int64_t along_line = std::int64_t{w.windows - 1} * w.stride,
                       along_plane = along_line + (h.windows - 1) * line,
                       along_image = along_plane + (d.windows - 1) * plane;
    return along_line <= line && along_plane <= plane && along_image <= image;
  }
  /// Pixels of the largest patch that blocks of `windows` windows read.
  int largest_patch(int windows) const {
    const int per_image = gather.d.windows * gather.h.windows * gather.w.windows;
    const int blocks = ceil_div(gather.rows, windows), distinct = per_image / std::gcd(per_image, windows);
    int most = 0;
    for (int block = 0; block < std::min(blocks, distinct); ++block) {
      // As if there were always one more image: the last block alone is cut short.
      const GatherWindow first = gather.window(block * windows),
                         last = gather.window(block * windows + windows - 1);
      most = std::max(most, first_pixel(last) + furthest_tap() + 1 - first_pixel(first) - nearest_tap());
    }
    return std::min(most, source_pixels);
  }

 private:
  CONVOY_HOST_DEVICE int reach(int sign) const {
    const auto along = [&](const GatherAxis& axis) {
      const int furthest = (axis.taps - 1) * axis.step;
      return axis.taps > 0 && furthest * sign > 0 ? furthest : 0;
    };
    return (along(gather.d) * gather.h.length + along(gather.h)) * gather.w.length + along(gather.w);
  }
};

}  // namespace convoy
