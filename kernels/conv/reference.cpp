// Convolution as its definition says: one multiplication at a time.
#include "kernels/reference.h"

#include <algorithm>

#include "kernels/conv/conv.h"

namespace convoy {
namespace {

Window window_of(const ConvShape& s) {
  return {s.in, s.out(), {s.t, s.r, s.s}, s.stride, s.pad, s.dilation};
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const ConvForward& call) {
  const ConvShape& s = call.shape;
  const Window window = window_of(s);
  const T* x = context.template data<T>(call.x);        // (N,D,H,W,C)
  const T* w = context.template data<T>(call.w);        // (K,T,R,S,C)
  const T* bias = context.template data<T>(call.bias);  // (K) or null
  T* y = context.template data<T>(call.y);              // (N,O,P,Q,K)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for (int k = 0; k < s.k; ++k) y[y_pixel * s.k + k] = bias != nullptr ? bias[k] : T(0);
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        T sum = 0;
        for (int c = 0; c < s.in.c; ++c) sum += x[x_pixel * s.in.c + c] * w[(k * taps + tap) * s.in.c + c];
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
  const T* w = context.template data<T>(call.w);    // (K,T,R,S,C)
  T* dx = context.template data<T>(call.dx);        // (N,D,H,W,C)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  std::fill_n(dx, s.n * s.in.count(), T(0));
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        const T dy_k = dy[y_pixel * s.k + k];
        for (int c = 0; c < s.in.c; ++c) dx[x_pixel * s.in.c + c] += dy_k * w[(k * taps + tap) * s.in.c + c];
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
  T* dw = context.template data<T>(call.dw);        // (K,T,R,S,C)
  const std::int64_t y_pixels = s.n * window.out.pixels(), taps = s.taps();
  std::fill_n(dw, s.weights(), T(0));
  for (std::int64_t y_pixel = 0; y_pixel < y_pixels; ++y_pixel) {
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int k = 0; k < s.k; ++k) {
        const T dy_k = dy[y_pixel * s.k + k];
        for (int c = 0; c < s.in.c; ++c) dw[(k * taps + tap) * s.in.c + c] += dy_k * x[x_pixel * s.in.c + c];
      }
    });
  }
}

CONVOY_REFERENCE(ConvForward);
CONVOY_REFERENCE(ConvDgrad);
CONVOY_REFERENCE(ConvWgrad);

}  // namespace convoy
