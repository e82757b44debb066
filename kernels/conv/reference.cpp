// Convolution as its definition says: one multiplication at a time.
#include "kernels/reference.h"

#include <algorithm>

#include "kernels/conv/conv.h"

namespace convoy {
namespace {

Window window_of(const ConvShape& s) {
  return {s.in, s.out(), {s.t, s.r, s.s}, s.stride, s.pad, s.dilation};
}

/// Of the group that filter k belongs to.
int first_channel(const ConvShape& s, int k) {
  return k / s.group_filters() * s.group_channels();
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const ConvForward& call) {
  const ConvShape& s = call.shape;
  const Window window = window_of(s);
  const T* x = context.template data<T>(call.x);        // (N,D,H,W,C)
  const T* w = context.template data<T>(call.w);        // (K,T,R,S,C/G)
  const T* bias = context.template data<T>(call.bias);  // (K) or null
  T* y = context.template data<T>(call.y);              // (N,O,P,Q,K)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  const int channels = s.group_channels();
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for (int k = 0; k < s.k; ++k) y[y_pixel * s.k + k] = bias != nullptr ? bias[k] : T(0);
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        const T* x_group = x + x_pixel * s.in.c + first_channel(s, k);
        T sum = 0;
        for (int c = 0; c < channels; ++c) sum += x_group[c] * w[(k * taps + tap) * channels + c];
        y[y_pixel * s.k + k] += sum;
      }
    });
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const ConvDgrad& call) {
  const ConvShape& s = call.shape;
  const Window window = window_of(s);
  const T* dy = context.template data<T>(call.dy);  // (N,O,P,Q,K)
  const T* w = context.template data<T>(call.w);    // (K,T,R,S,C/G)
  T* dx = context.template data<T>(call.dx);        // (N,D,H,W,C)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  const int channels = s.group_channels();
  std::fill_n(dx, s.n * s.in.count(), T(0));
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        const T dy_k = dy[y_pixel * s.k + k];
        T* dx_group = dx + x_pixel * s.in.c + first_channel(s, k);
        for (int c = 0; c < channels; ++c) dx_group[c] += dy_k * w[(k * taps + tap) * channels + c];
      }
    });
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const Window window = window_of(s);
  const T* x = context.template data<T>(call.x);    // (N,D,H,W,C)
  const T* dy = context.template data<T>(call.dy);  // (N,O,P,Q,K)
  T* dw = context.template data<T>(call.dw);        // (K,T,R,S,C/G)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  const int channels = s.group_channels();
  std::fill_n(dw, s.weights(), T(0));
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        const T dy_k = dy[y_pixel * s.k + k];
        const T* x_group = x + x_pixel * s.in.c + first_channel(s, k);
        for (int c = 0; c < channels; ++c) dw[(k * taps + tap) * channels + c] += dy_k * x_group[c];
      }
    });
  }
}

CONVOY_REFERENCE(ConvForward);
CONVOY_REFERENCE(ConvDgrad);
CONVOY_REFERENCE(ConvWgrad);

}  // namespace convoy
