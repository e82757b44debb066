// Max and average pooling as their definition says.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/pool.h"
#include "kernels/reference.h"

namespace convoy {
namespace {

Window window_of(const PoolShape& s) {
  return {s.in, s.out(), s.kernel, s.stride, s.pad, {1, 1, 1}};
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const MaxPoolForward& call) {
  const PoolShape& s = call.shape;
  const Window window = window_of(s);
  const int channels = s.in.c;
  check(s.taps() <= 255, "max pooling over more than 255 taps");
  const T* x = context.template data<T>(call.x);                    // (N,D,H,W,C)
  T* y = context.template data<T>(call.y);                          // (N,O,P,Q,C)
  auto* argmax = context.template data<std::uint8_t>(call.argmax);  // (N,O,P,Q,C) or null
  std::vector<int> winner(static_cast<std::size_t>(channels));
  for (std::int64_t y_pixel = 0; y_pixel < s.n * window.out.pixels(); ++y_pixel) {
    T* best = y + y_pixel * channels;
    std::fill(winner.begin(), winner.end(), -1);
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int c = 0; c < channels; ++c) {
        const T value = x[x_pixel * channels + c];
        const bool wins = winner[c] < 0 || value > best[c] || (std::isnan(value) && !std::isnan(best[c]));
        if (wins) best[c] = value, winner[c] = tap;
      }
    });
    for (int c = 0; c < channels; ++c) {
      check(winner[c] >= 0, "a pooling window that holds padding only");
      if (argmax != nullptr) argmax[y_pixel * channels + c] = static_cast<std::uint8_t>(winner[c]);
    }
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const MaxPoolBackward& call) {
  const PoolShape& s = call.shape;
  const Window window = window_of(s);
  const int channels = s.in.c;
  const T* dy = context.template data<T>(call.dy);                        // (N,O,P,Q,C)
  const auto* argmax = context.template data<std::uint8_t>(call.argmax);  // (N,O,P,Q,C)
  T* dx = context.template data<T>(call.dx);                              // (N,D,H,W,C)
  std::fill_n(dx, s.n * s.in.count(), T(0));
  for (std::int64_t y_pixel = 0; y_pixel < s.n * window.out.pixels(); ++y_pixel) {
    for_each_tap(window, y_pixel, [&](int tap, std::int64_t x_pixel) {
      for (int c = 0; c < channels; ++c) {
        if (argmax[y_pixel * channels + c] == tap) dx[x_pixel * channels + c] += dy[y_pixel * channels + c];
      }
    });
  }
}

namespace {

/// Calls visit(y_pixel, x_pixel, divisor) for each pixel of each window, in the order of both.
template <class Visit>
void for_each_mean(const PoolShape& s, Visit visit) {
  const PoolAxis d = s.axis(0), h = s.axis(1), w = s.axis(2);
  std::int64_t y_pixel = 0;
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (int o = 0; o < d.out; ++o) {
      for (int p = 0; p < h.out; ++p) {
        for (int q = 0; q < w.out; ++q, ++y_pixel) {
          const int divisor =
              d.counted(o, s.count_padding) * h.counted(p, s.count_padding) * w.counted(q, s.count_padding);
          for (int i = std::max(0, d.start(o)); i < std::min(d.in, d.end(o)); ++i) {
            for (int j = std::max(0, h.start(p)); j < std::min(h.in, h.end(p)); ++j) {
              for (int k = std::max(0, w.start(q)); k < std::min(w.in, w.end(q)); ++k)
                visit(y_pixel, ((n * d.in + i) * h.in + j) * w.in + k, divisor);
            }
          }
        }
      }
    }
  }
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const AvgPoolForward& call) {
  const PoolShape& s = call.shape;
  const int channels = s.in.c;
  const T* x = context.template data<T>(call.x);  // (N,D,H,W,C)
  T* y = context.template data<T>(call.y);        // (N,O,P,Q,C)
  std::vector<int> divisors(static_cast<std::size_t>(s.n * s.out().pixels()));
  std::fill_n(y, s.n * s.out().count(), T(0));
  for_each_mean(s, [&](std::int64_t y_pixel, std::int64_t x_pixel, int divisor) {
    divisors[static_cast<std::size_t>(y_pixel)] = divisor;
    for (int c = 0; c < channels; ++c) y[y_pixel * channels + c] += x[x_pixel * channels + c];
  });
  for (const int divisor : divisors) {
    for (int c = 0; c < channels; ++c) *y++ /= static_cast<T>(divisor);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const AvgPoolBackward& call) {
  const PoolShape& s = call.shape;
  const int channels = s.in.c;
  const T* dy = context.template data<T>(call.dy);  // (N,O,P,Q,C)
  T* dx = context.template data<T>(call.dx);        // (N,D,H,W,C)
  std::fill_n(dx, s.n * s.in.count(), T(0));
  for_each_mean(s, [&](std::int64_t y_pixel, std::int64_t x_pixel, int divisor) {
    for (int c = 0; c < channels; ++c)
      dx[x_pixel * channels + c] += dy[y_pixel * channels + c] / static_cast<T>(divisor);
  });
}

CONVOY_REFERENCE(MaxPoolForward);
CONVOY_REFERENCE(MaxPoolBackward);
CONVOY_REFERENCE(AvgPoolForward);
CONVOY_REFERENCE(AvgPoolBackward);

}  // namespace convoy
