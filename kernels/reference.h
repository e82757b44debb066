// What the reference kernels share: their instantiations and the walk over a sliding window.
#pragma once

#include <cstdint>

#include "core/shape.h"
#include "kernels/contexts.h"

/// Every reference launcher exists in float (the sequential version) and in double (the oracle).
#define CONVOY_REFERENCE(CallType)                                       \
  template void launch(const ReferenceContext<float>&, const CallType&); \
  template void launch(const ReferenceContext<double>&, const CallType&)

namespace convoy {

/// A window that slides over in (D,H,W) and yields out (O,P,Q).
struct Window {
  FeatureShape in, out;
  Axes kernel, stride, pad, dilation;
};

/// Calls visit(tap, x_pixel) for each tap of the window at output pixel `y_pixel` (counted over N·O·P·Q) that
/// lies inside the image, in the order of the taps; x_pixel is counted over N·D·H·W.
template <class Visit>
void for_each_tap(const Window& window, std::int64_t y_pixel, Visit visit) {
  const FeatureShape &in = window.in, &out = window.out;
  const int q = static_cast<int>(y_pixel % out.w);
  const int p = static_cast<int>(y_pixel / out.w % out.h);
  const int o = static_cast<int>(y_pixel / out.w / out.h % out.d);
  const std::int64_t image = y_pixel / out.pixels();
  const int first_d = o * window.stride[0] - window.pad[0];
  const int first_h = p * window.stride[1] - window.pad[1];
  const int first_w = q * window.stride[2] - window.pad[2];
  for (int t = 0; t < window.kernel[0]; ++t) {
    const int d = first_d + t * window.dilation[0];
    if (d < 0 || d >= in.d) continue;
    for (int r = 0; r < window.kernel[1]; ++r) {
      const int h = first_h + r * window.dilation[1];
      if (h < 0 || h >= in.h) continue;
      for (int s = 0; s < window.kernel[2]; ++s) {
        const int w = first_w + s * window.dilation[2];
        if (w < 0 || w >= in.w) continue;
        visit((t * window.kernel[1] + r) * window.kernel[2] + s, ((image * in.d + d) * in.h + h) * in.w + w);
      }
    }
  }
}

}  // namespace convoy
