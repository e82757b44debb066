// Pooling on the CPU: output rows (forward) or input rows (backward) shared out, vectorised over channels,
// bound by memory. x (N,D,H,W,C), y (N,O,P,Q,C).
//
// Backward gathers: a pixel of dx visits the windows that cover it, in order, so nothing is added from two
// threads.
#include "kernels/pool.h"

#include <algorithm>
#include <limits>

namespace convoy {
namespace {

/// Channels handled at once: sums, maxima and indices of so many stay in registers.
constexpr int lanes = 16;

/// Calls body(first, count) for every block of channels; count is the constant `lanes` but for a last block.
template <class Body>
inline void for_each_channel_block(int channels, Body&& body) {
  int c = 0;
  for (; c + lanes <= channels; c += lanes) body(c, std::integral_constant<int, lanes>{});
  if (c < channels) body(c, channels - c);
}

struct Range {
  int first, last;
};

/// Taps of window `out` that lie inside an axis of `length`.
Range taps_inside(int out, int kernel, int stride, int pad, int length) {
  const int start = out * stride - pad;
  return {std::max(0, -start), std::min(kernel, length - start)};
}
/// Windows of an axis that cover coordinate `in`.
Range windows_over(int in, int kernel, int stride, int pad, int windows) {
  const int reach = in + pad - kernel;  // the last coordinate, shifted by pad, too far left
  return {reach < 0 ? 0 : reach / stride + 1, std::min(windows, (in + pad) / stride + 1)};
}

/// For every output pixel: body(index of y's first channel, visit), where visit(f) calls f(tap, index of x's
/// first channel) for the taps inside the image, in order.
template <class Body>
void for_each_output(const PoolShape& shape, Body&& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const auto [kernel, stride, pad] = std::tuple(shape.kernel, shape.stride, shape.pad);
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < std::int64_t{shape.n} * out.d * out.h; ++row) {
    const int o = static_cast<int>(row / out.h % out.d), p = static_cast<int>(row % out.h);
    const std::int64_t image = row / out.h / out.d * in.count();
    const Range ds = taps_inside(o, kernel[0], stride[0], pad[0], in.d);
    const Range hs = taps_inside(p, kernel[1], stride[1], pad[1], in.h);
    for (int q = 0; q < out.w; ++q) {
      const Range ws = taps_inside(q, kernel[2], stride[2], pad[2], in.w);
      body((row * out.w + q) * out.c, [&](auto&& visit) {
        for (int i = ds.first; i < ds.last; ++i) {
          for (int j = hs.first; j < hs.last; ++j) {
            for (int k = ws.first; k < ws.last; ++k) {
              const std::int64_t d = o * stride[0] - pad[0] + i, h = p * stride[1] - pad[1] + j;
              const std::int64_t w = q * stride[2] - pad[2] + k;
              visit((i * kernel[1] + j) * kernel[2] + k, image + ((d * in.h + h) * in.w + w) * in.c);
            }
          }
        }
      });
    }
  }
}

/// For every input pixel: body(index of x's first channel, visit), where visit(f) calls f(tap, index of y's
/// first channel) for the windows that cover it, in order.
template <class Body>
void for_each_input(const PoolShape& shape, Body&& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const auto [kernel, stride, pad] = std::tuple(shape.kernel, shape.stride, shape.pad);
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < std::int64_t{shape.n} * in.d * in.h; ++row) {
    const int d = static_cast<int>(row / in.h % in.d), h = static_cast<int>(row % in.h);
    const std::int64_t image = row / in.h / in.d * out.count();
    const Range os = windows_over(d, kernel[0], stride[0], pad[0], out.d);
    const Range ps = windows_over(h, kernel[1], stride[1], pad[1], out.h);
    for (int w = 0; w < in.w; ++w) {
      const Range qs = windows_over(w, kernel[2], stride[2], pad[2], out.w);
      body((row * in.w + w) * in.c, [&](auto&& visit) {
        for (int o = os.first; o < os.last; ++o) {
          for (int p = ps.first; p < ps.last; ++p) {
            for (int q = qs.first; q < qs.last; ++q) {
              const int i = d + pad[0] - o * stride[0], j = h + pad[1] - p * stride[1],
                        k = w + pad[2] - q * stride[2];
              visit((i * kernel[1] + j) * kernel[2] + k,
                    image + ((std::int64_t{o} * out.h + p) * out.w + q) * out.c);
            }
          }
        }
      });
    }
  }
}

}  // namespace

void launch(const CpuContext& context, const MaxPoolForward& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  std::uint8_t* argmax = context.data<std::uint8_t>(call.argmax);
  for_each_output(call.shape, [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_tap) {
    for_each_channel_block(channels, [&](int c, auto count) {
      float best[lanes];
      std::int32_t winner[lanes];
      std::fill_n(best, lanes, -std::numeric_limits<float>::infinity());
      std::fill_n(winner, lanes, -1);
      for_each_tap([&](std::int32_t tap, std::int64_t from) {
        const float* value = x + from + c;
        for (int l = 0; l < count; ++l) {  // a first tap wins always, a NaN over all but a NaN
          const float v = value[l], b = best[l];
          const bool wins = (v > b) | (winner[l] < 0) | ((v != v) & (b == b));
          best[l] = wins ? v : b;
          winner[l] = wins ? tap : winner[l];
        }
      });
      for (int l = 0; l < count; ++l) y[to + c + l] = best[l];
      if (argmax) {
        for (int l = 0; l < count; ++l) argmax[to + c + l] = static_cast<std::uint8_t>(winner[l]);
      }
    });
  });
}

void launch(const CpuContext& context, const MaxPoolBackward& call) {
  const float* dy = context.data<float>(call.dy);
  const std::uint8_t* argmax = context.data<std::uint8_t>(call.argmax);
  float* dx = context.data<float>(call.dx);
  for_each_input(call.shape, [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_window) {
    for_each_channel_block(channels, [&](int c, auto count) {
      float sum[lanes] = {};
      for_each_window([&](std::int32_t tap, std::int64_t from) {
        const std::uint8_t* winner = argmax + from + c;
        for (int l = 0; l < count; ++l) sum[l] += winner[l] == tap ? dy[from + c + l] : 0.0f;
      });
      for (int l = 0; l < count; ++l) dx[to + c + l] = sum[l];
    });
  });
}

void launch(const CpuContext& context, const AvgPoolForward& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  const float scale = 1.0f / static_cast<float>(call.shape.taps());
  for_each_output(call.shape, [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_tap) {
    for_each_channel_block(channels, [&](int c, auto count) {
      float sum[lanes] = {};
      for_each_tap([&](std::int32_t, std::int64_t from) {
        for (int l = 0; l < count; ++l) sum[l] += x[from + c + l];
      });
      for (int l = 0; l < count; ++l) y[to + c + l] = sum[l] * scale;
    });
  });
}

void launch(const CpuContext& context, const AvgPoolBackward& call) {
  const float* dy = context.data<float>(call.dy);
  float* dx = context.data<float>(call.dx);
  const float scale = 1.0f / static_cast<float>(call.shape.taps());
  for_each_input(call.shape, [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_window) {
    for_each_channel_block(channels, [&](int c, auto count) {
      float sum[lanes] = {};
      for_each_window([&](std::int32_t, std::int64_t from) {
        for (int l = 0; l < count; ++l) sum[l] += dy[from + c + l];
      });
      for (int l = 0; l < count; ++l) dx[to + c + l] = sum[l] * scale;
    });
  });
}

}  // namespace convoy
