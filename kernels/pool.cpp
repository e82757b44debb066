// Pooling on the CPU: output rows (forward) or input rows (backward) shared out, vectorised over channels,
// bound by memory. x (N,D,H,W,C), y (N,O,P,Q,C).
//
// Backward, a pixel of dx is added up by one thread from the windows that cover it, in order; where windows
// do not overlap, a window writes its pixels instead.
#include "kernels/pool.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/simd.h"

namespace convoy {
namespace {

/// Calls body(first, count) for every block of channels; only a last block counts fewer than simd_lanes.
template <class Body>
inline void for_each_channel_block(int channels, Body&& body) {
  int c = 0;
  for (; c + simd_lanes <= channels; c += simd_lanes) body(c, std::integral_constant<int, simd_lanes>{});
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

/// A tap of a window inside the image.
struct Tap {
  int index;            ///< (kd * kernel_h + kh) * kernel_w + kw
  std::int64_t offset;  ///< of its pixel from that of the window's first tap, in floats
};

/// For every output pixel: body(index of y's first channel, index of x's at the window's first tap, which may
/// lie outside the image, and the taps inside, in order).
template <class Body>
void for_each_output(ThreadPool& threads, const PoolShape& shape, const Body& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const auto [kernel, stride, pad] = std::tuple(shape.kernel, shape.stride, shape.pad);
  threads.for_each(std::int64_t{shape.n} * out.d * out.h, [&](std::int64_t row) {
    thread_local std::vector<Tap> taps;
    const int o = static_cast<int>(row / out.h % out.d), p = static_cast<int>(row % out.h);
    const std::int64_t image = row / out.h / out.d;
    const Range ds = taps_inside(o, kernel[0], stride[0], pad[0], in.d);
    const Range hs = taps_inside(p, kernel[1], stride[1], pad[1], in.h);
    const std::int64_t corner =
        (((image * in.d + o * stride[0] - pad[0]) * in.h + p * stride[1] - pad[1]) * in.w - pad[2]) * in.c;
    Range known{0, -1};
    for (int q = 0; q < out.w; ++q) {
      const Range ws = taps_inside(q, kernel[2], stride[2], pad[2], in.w);
      if (ws.first != known.first ||
          ws.last != known.last) {  // but for the edges, the same as its neighbour's
        known = ws;
        taps.clear();
        for (int i = ds.first; i < ds.last; ++i) {
          for (int j = hs.first; j < hs.last; ++j) {
            for (int k = ws.first; k < ws.last; ++k) {
              taps.push_back(
                  {(i * kernel[1] + j) * kernel[2] + k, ((std::int64_t{i} * in.h + j) * in.w + k) * in.c});
            }
          }
        }
      }
      body((row * out.w + q) * out.c, corner + std::int64_t{q} * stride[2] * in.c,
           std::span<const Tap>(taps));
    }
  });
}

/// For every input pixel: body(index of x's first channel, visit), where visit(f) calls f(tap, index of y's
/// first channel) for the windows that cover it, in order.
template <class Body>
void for_each_input(ThreadPool& threads, const PoolShape& shape, const Body& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const auto [kernel, stride, pad] = std::tuple(shape.kernel, shape.stride, shape.pad);
  threads.for_each(std::int64_t{shape.n} * in.d * in.h, [&](std::int64_t row) {
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
  });
}

/// dx where windows may overlap: each pixel adds up the windows that it won.
void max_pool_gather(ThreadPool& threads, const PoolShape& shape, const float* dy, const std::uint8_t* argmax,
                     float* dx) {
  for_each_input(threads, shape, [=, channels = shape.in.c](std::int64_t to, auto&& for_each_window) {
    for_each_channel_block(channels, [&](int c, auto count) {
      Float16 sum{};
      for_each_window([&](std::int32_t tap, std::int64_t from) {
        const Int16 won = equal_lanes(load_lanes(argmax + from + c, count), static_cast<std::uint8_t>(tap));
        sum = map_lanes(std::plus<>{}, sum, keep_lanes(won, load_lanes(dy + from + c, count)));
      });
      store_lanes(dx + to + c, sum, count);
    });
  });
}

/// dx where they do not: each window writes all its pixels, and what no window covers is zero.
void max_pool_scatter(ThreadPool& threads, const PoolShape& shape, const float* dy,
                      const std::uint8_t* argmax, float* dx) {
  bool covered = true;
  const FeatureShape in = shape.in, out = shape.out();
  const Axes inputs{in.d, in.h, in.w}, outputs{out.d, out.h, out.w};
  for (int axis = 0; axis < 3; ++axis) {
    covered &= shape.kernel[axis] == shape.stride[axis] &&
               outputs[axis] * shape.stride[axis] >= inputs[axis] + shape.pad[axis];
  }
  if (!covered) {
    threads.for_each(shape.n, [&](std::int64_t n) { std::fill_n(dx + n * in.count(), in.count(), 0.0f); });
  }
  for_each_output(threads, shape, [=](std::int64_t from, std::int64_t to, std::span<const Tap> taps) {
    for_each_channel_block(in.c, [&](int c, auto count) {
      const Float16 gradient = load_lanes(dy + from + c, count);
      const Byte16 winner = load_lanes(argmax + from + c, count);
      for (const Tap& tap : taps) {
        const Int16 won = equal_lanes(winner, static_cast<std::uint8_t>(tap.index));
        store_lanes(dx + to + tap.offset + c, keep_lanes(won, gradient), count);
      }
    });
  });
}

}  // namespace

void launch(const CpuContext& context, const MaxPoolForward& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  std::uint8_t* argmax = context.data<std::uint8_t>(call.argmax);
  for_each_output(
      context.threads(), call.shape,
      [=, channels = call.shape.in.c](std::int64_t to, std::int64_t from, std::span<const Tap> taps) {
        for_each_channel_block(channels, [&](int c, auto count) {
          const Float4 lowest = Float4{} - std::numeric_limits<float>::infinity();
          const Int4 first = Int4{} + (taps.empty() ? 0 : taps.front().index);
          Float16 best{lowest, lowest, lowest, lowest};
          Int16 winner{first, first, first, first};
          for (const Tap& tap : taps) {
            const Float16 value = load_lanes(x + from + tap.offset + c, count);
            const Int16 wins = map_lanes(  // greater, or the first NaN
                [](Float4 v, Float4 top) { return ~(v <= top) & (top == top); }, value, best);
            best = map_lanes([](Int4 w, Float4 v, Float4 top) { return w ? v : top; }, wins, value, best);
            winner = map_lanes([=](Int4 w, Int4 old) { return (w & tap.index) | (~w & old); }, wins, winner);
          }
          store_lanes(y + to + c, best, count);
          if (argmax) store_lanes(argmax + to + c, narrow_lanes(winner), count);
        });
      });
}

void launch(const CpuContext& context, const MaxPoolBackward& call) {
  const auto [kernel, stride] = std::pair(call.shape.kernel, call.shape.stride);
  const bool apart = stride[0] >= kernel[0] && stride[1] >= kernel[1] && stride[2] >= kernel[2];
  (apart ? max_pool_scatter : max_pool_gather)(context.threads(), call.shape, context.data<float>(call.dy),
                                               context.data<std::uint8_t>(call.argmax),
                                               context.data<float>(call.dx));
}

void launch(const CpuContext& context, const AvgPoolForward& call) {
  const float* x = context.data<float>(call.x);
  float* y = context.data<float>(call.y);
  const float scale = 1.0f / static_cast<float>(call.shape.taps());
  for_each_output(
      context.threads(), call.shape,
      [=, channels = call.shape.in.c](std::int64_t to, std::int64_t from, std::span<const Tap> taps) {
        for_each_channel_block(channels, [&](int c, auto count) {
          Float16 sum{};
          for (const Tap& tap : taps)
            sum = map_lanes(std::plus<>{}, sum, load_lanes(x + from + tap.offset + c, count));
          store_lanes(y + to + c, map_lanes([=](Float4 total) { return total * scale; }, sum), count);
        });
      });
}

void launch(const CpuContext& context, const AvgPoolBackward& call) {
  const float* dy = context.data<float>(call.dy);
  float* dx = context.data<float>(call.dx);
  const float scale = 1.0f / static_cast<float>(call.shape.taps());
  for_each_input(context.threads(), call.shape,
                 [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_window) {
                   for_each_channel_block(channels, [&](int c, auto count) {
                     Float16 sum{};
                     for_each_window([&](std::int32_t, std::int64_t from) {
                       sum = map_lanes(std::plus<>{}, sum, load_lanes(dy + from + c, count));
                     });
                     store_lanes(dx + to + c, map_lanes([=](Float4 total) { return total * scale; }, sum),
                                 count);
                   });
                 });
}

}  // namespace convoy
