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
#include <utility>
#include <vector>

#include "kernels/simd.h"

namespace convoy {
namespace {

/// A tap of a window inside the image.
struct Tap {
  int index;            ///< (kd * kernel_h + kh) * kernel_w + kw
  std::int64_t offset;  ///< of its pixel from that of the window's first tap, in floats
};

/// For every output pixel: body(index of y's first channel, index of x's at the window's first tap, which may
/// lie outside the image, the taps inside, in order, and what a mean divides by).
template <class Body>
void for_each_output(ThreadPool& threads, const PoolShape& shape, const Body& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const PoolAxis d = shape.axis(0), h = shape.axis(1), w = shape.axis(2);
  const bool padding = shape.count_padding;
  threads.for_each(std::int64_t{shape.n} * out.d * out.h, [&](std::int64_t row) {
    thread_local std::vector<Tap> taps;
    const int o = static_cast<int>(row / out.h % out.d), p = static_cast<int>(row % out.h);
    const std::int64_t image = row / out.h / out.d;
    const IndexRange ds = d.taps(o), hs = h.taps(p);
    const std::int64_t corner = ((image * in.d + d.start(o)) * in.h + h.start(p)) * in.w;
    const int counted = d.counted(o, padding) * h.counted(p, padding);
    IndexRange known{0, -1};
    for (int q = 0; q < out.w; ++q) {
      const IndexRange ws = w.taps(q);
      if (ws.first != known.first ||
          ws.last != known.last) {  // but for the edges, the same as its neighbour's
        known = ws;
        taps.clear();
        for (int i = ds.first; i < ds.last; ++i) {
          for (int j = hs.first; j < hs.last; ++j) {
            for (int k = ws.first; k < ws.last; ++k) {
              taps.push_back(
                  {(i * h.kernel + j) * w.kernel + k, ((std::int64_t{i} * in.h + j) * in.w + k) * in.c});
            }
          }
        }
      }
      body((row * out.w + q) * out.c, (corner + w.start(q)) * in.c, std::span<const Tap>(taps),
           counted * w.counted(q, padding));
    }
  });
}

/// For every input pixel: body(index of x's first channel, visit), where visit(f) calls f(tap, index of y's
/// first channel, what a mean divides by) for the windows that cover it, in order.
template <class Body>
void for_each_input(ThreadPool& threads, const PoolShape& shape, const Body& body) {
  const FeatureShape in = shape.in, out = shape.out();
  const PoolAxis d = shape.axis(0), h = shape.axis(1), w = shape.axis(2);
  const bool padding = shape.count_padding;
  threads.for_each(std::int64_t{shape.n} * in.d * in.h, [&](std::int64_t row) {
    const int at_d = static_cast<int>(row / in.h % in.d), at_h = static_cast<int>(row % in.h);
    const std::int64_t image = row / in.h / in.d * out.count();
    const IndexRange os = d.covering(at_d), ps = h.covering(at_h);
    for (int at_w = 0; at_w < in.w; ++at_w) {
      const IndexRange qs = w.covering(at_w);
      body((row * in.w + at_w) * in.c, [&](auto&& visit) {
        for (int o = os.first; o < os.last; ++o) {
          for (int p = ps.first; p < ps.last; ++p) {
            for (int q = qs.first; q < qs.last; ++q) {
              const int i = at_d - d.start(o), j = at_h - h.start(p), k = at_w - w.start(q);
              visit((i * h.kernel + j) * w.kernel + k,
                    image + ((std::int64_t{o} * out.h + p) * out.w + q) * out.c,
                    d.counted(o, padding) * h.counted(p, padding) * w.counted(q, padding));
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
      for_each_window([&](std::int32_t tap, std::int64_t from, int) {
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
  for_each_output(threads, shape, [=](std::int64_t from, std::int64_t to, std::span<const Tap> taps, int) {
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
      [=, channels = call.shape.in.c](std::int64_t to, std::int64_t from, std::span<const Tap> taps, int) {
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
  for_each_output(context.threads(), call.shape,
                  [=, channels = call.shape.in.c](std::int64_t to, std::int64_t from,
                                                  std::span<const Tap> taps, int counted) {
                    const float scale = 1.0f / static_cast<float>(counted);
                    for_each_channel_block(channels, [&](int c, auto count) {
                      Float16 sum{};
                      for (const Tap& tap : taps)
                        sum = map_lanes(std::plus<>{}, sum, load_lanes(x + from + tap.offset + c, count));
                      store_lanes(y + to + c, map_lanes([=](Float4 total) { return total * scale; }, sum),
                                  count);
                    });
                  });
}

namespace {

/// dx = the sum over windows of dy times window_scale(what their mean divides by), times `scale`.
template <class WindowScale>
void average_backward(const CpuContext& context, const AvgPoolBackward& call, WindowScale window_scale,
                      float scale) {
  const float* dy = context.data<float>(call.dy);
  float* dx = context.data<float>(call.dx);
  for_each_input(
      context.threads(), call.shape,
      [=, channels = call.shape.in.c](std::int64_t to, auto&& for_each_window) {
        for_each_channel_block(channels, [&](int c, auto count) {
          Float16 sum{};
          for_each_window([&](std::int32_t, std::int64_t from, int counted) {
            const auto add = [&](Float4 total, Float4 v) { return total + v * window_scale(counted); };
            sum = map_lanes(add, sum, load_lanes(dy + from + c, count));
          });
          store_lanes(dx + to + c, map_lanes([=](Float4 total) { return total * scale; }, sum), count);
        });
      });
}

}  // namespace

void launch(const CpuContext& context, const AvgPoolBackward& call) {
  if (call.shape.divides_by_taps()) {
    constexpr auto one = [](int) { return 1.0f; };
    return average_backward(context, call, one, 1.0f / static_cast<float>(call.shape.taps()));
  }
  average_backward(
      context, call, [](int counted) { return 1.0f / static_cast<float>(counted); }, 1.0f);
}

}  // namespace convoy
