// fprop and dgrad are one loop: an output pixel is a sum over the taps that bring it to an input pixel,
// sixteen channels side by side. Which taps those are is a table per axis. x (N,D,H,W,C), y (N,O,P,Q,C), w
// (C,T,R,S).
#include "kernels/conv/cpu/depthwise.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "core/ceil_div.h"
#include "kernels/simd.h"

namespace convoy {
namespace {

/// A tap of one axis that connects a coordinate of the output with one of the input.
struct Contact {
  int tap, other;
};
/// Of each coordinate on one side, in the order of the taps.
using Contacts = std::vector<std::vector<Contact>>;

enum class Side { input, output };

/// Of the coordinates of `side`; `other` is on the other side.
Contacts contacts_of(Side side, int in, int out, int taps, int stride, int pad, int dilation) {
  Contacts contacts(static_cast<std::size_t>(side == Side::output ? out : in));
  for (int tap = 0; tap < taps; ++tap) {
    for (int o = 0; o < out; ++o) {
      const int i = o * stride - pad + tap * dilation;
      if (i < 0 || i >= in) continue;
      const int own = side == Side::output ? o : i;
      contacts[static_cast<std::size_t>(own)].push_back({tap, side == Side::output ? i : o});
    }
  }
  return contacts;
}
std::array<Contacts, 3> contacts_of(Side side, const ConvShape& s) {
  const FeatureShape out = s.out();
  return {contacts_of(side, s.in.d, out.d, s.t, s.stride[0], s.pad[0], s.dilation[0]),
          contacts_of(side, s.in.h, out.h, s.r, s.stride[1], s.pad[1], s.dilation[1]),
          contacts_of(side, s.in.w, out.w, s.s, s.stride[2], s.pad[2], s.dilation[2])};
}

Float16 multiply_add(const Float16& sum, const Float16& a, const Float16& b) {
  return map_lanes([](Float4 s, Float4 x, Float4 y) { return s + x * y; }, sum, a, b);
}

/// Packed by taps, so that neighbouring channels are neighbours: (T,R,S,C) from (C,T,R,S).
void pack_weights(const CpuContext& context, const ConvShape& s, const float* w, float* packed) {
  const std::int64_t taps = s.taps();
  context.threads().for_each(taps, [&](std::int64_t tap) {
    for (int c = 0; c < s.in.c; ++c) packed[tap * s.in.c + c] = w[c * taps + tap];
  });
}

/// to (N, own pixels, C) = bias + the sum over taps of from (N, other pixels, C) * w.
void sum_over_taps(const CpuContext& context, const ConvShape& s, Side own, const float* from, const float* w,
                   const float* bias, float* to) {
  const FeatureShape to_shape = own == Side::output ? s.out() : s.in,
                     from_shape = own == Side::output ? s.in : s.out();
  const std::array<Contacts, 3> contacts = contacts_of(own, s);
  const int channels = s.in.c;
  float* packed = context.arenas.workspace<float>(s.weights() * std::int64_t{sizeof(float)});
  pack_weights(context, s, w, packed);
  struct Term {
    const float *from, *w;
  };
  context.threads().for_each(std::int64_t{s.n} * to_shape.d * to_shape.h, [&](std::int64_t row) {
    thread_local std::vector<Term> terms;
    const auto at_h = static_cast<std::size_t>(row % to_shape.h),
               at_d = static_cast<std::size_t>(row / to_shape.h % to_shape.d);
    const float* image = from + row / to_shape.h / to_shape.d * from_shape.count();
    for (int at_w = 0; at_w < to_shape.w; ++at_w) {
      terms.clear();
      for (const Contact& d : contacts[0][at_d]) {
        for (const Contact& h : contacts[1][at_h]) {
          for (const Contact& w_axis : contacts[2][static_cast<std::size_t>(at_w)]) {
            const std::int64_t pixel =
                (std::int64_t{d.other} * from_shape.h + h.other) * from_shape.w + w_axis.other;
            const std::int64_t tap = (std::int64_t{d.tap} * s.r + h.tap) * s.s + w_axis.tap;
            terms.push_back({image + pixel * channels, packed + tap * channels});
          }
        }
      }
      float* pixel = to + (row * to_shape.w + at_w) * channels;
      for_each_channel_block(channels, [&](int c, auto count) {
        Float16 sum = bias ? load_lanes(bias + c, count) : Float16{};
        for (const Term& term : terms)
          sum = multiply_add(sum, load_lanes(term.from + c, count), load_lanes(term.w + c, count));
        store_lanes(pixel + c, sum, count);
      });
    }
  });
}

/// How wgrad is shared out: rows of output pixels in chunks, each with its own sums. From the shape alone.
struct Chunks {
  explicit Chunks(const ConvShape& s) : rows(std::int64_t{s.n} * s.out().d * s.out().h) {
    constexpr std::int64_t most = 64, memory = 4 << 20;  // chunks, floats
    count = std::clamp<std::int64_t>(std::min(rows, memory / s.weights()), 1, most);
  }
  std::int64_t first(std::int64_t chunk) const { return rows * chunk / count; }
  std::int64_t rows, count;
};

}  // namespace

std::int64_t depthwise_workspace_bytes(const ConvForward& call) {
  return call.shape.weights() * std::int64_t{sizeof(float)};
}
std::int64_t depthwise_workspace_bytes(const ConvDgrad& call) {
  return call.shape.weights() * std::int64_t{sizeof(float)};
}
std::int64_t depthwise_workspace_bytes(const ConvWgrad& call) {
  return Chunks(call.shape).count * call.shape.weights() * std::int64_t{sizeof(float)};
}

void depthwise(const CpuContext& context, const ConvForward& call) {
  sum_over_taps(context, call.shape, Side::output, context.data<float>(call.x), context.data<float>(call.w),
                context.data<float>(call.bias), context.data<float>(call.y));
}

void depthwise(const CpuContext& context, const ConvDgrad& call) {
  sum_over_taps(context, call.shape, Side::input, context.data<float>(call.dy), context.data<float>(call.w),
                nullptr, context.data<float>(call.dx));
}

void depthwise(const CpuContext& context, const ConvWgrad& call) {
  const ConvShape& s = call.shape;
  const FeatureShape out = s.out();
  const Chunks chunks(s);
  const std::array<Contacts, 3> contacts = contacts_of(Side::output, s);
  const int channels = s.in.c;
  const std::int64_t taps = s.taps(), size = s.weights();
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  float* dw = context.data<float>(call.dw);
  float* partials = context.arenas.workspace<float>(chunks.count * size * std::int64_t{sizeof(float)});
  const auto sum_chunk = [&](std::int64_t chunk, int c, auto count) {
    thread_local std::vector<Float16> sums;  // per tap
    sums.assign(static_cast<std::size_t>(taps), Float16{});
    for (std::int64_t row = chunks.first(chunk); row < chunks.first(chunk + 1); ++row) {
      const auto p = static_cast<std::size_t>(row % out.h), o = static_cast<std::size_t>(row / out.h % out.d);
      const float* image = x + row / out.h / out.d * s.in.count() + c;
      const float* dy_row = dy + row * out.w * channels + c;
      for (const Contact& d : contacts[0][o]) {
        for (const Contact& h : contacts[1][p]) {
          const float* x_row = image + (std::int64_t{d.other} * s.in.h + h.other) * s.in.w * channels;
          Float16* row_sums = sums.data() + (std::int64_t{d.tap} * s.r + h.tap) * s.s;
          for (int tap = 0; tap < s.s; ++tap) {
            const int stride = s.stride[2], first = tap * s.dilation[2] - s.pad[2];  // q = 0 reads it
            const int q_begin = first < 0 ? ceil_div(-first, stride) : 0;
            const int q_end = first < s.in.w ? std::min(out.w, (s.in.w - 1 - first) / stride + 1) : 0;
            const float* x_pixel = x_row + (std::int64_t{q_begin} * stride + first) * channels;
            const float* dy_pixel = dy_row + std::int64_t{q_begin} * channels;
            Float16 sum = row_sums[tap];
            for (int q = q_begin; q < q_end; ++q) {
              sum = multiply_add(sum, load_lanes(x_pixel, count), load_lanes(dy_pixel, count));
              x_pixel += std::int64_t{stride} * channels, dy_pixel += channels;
            }
            row_sums[tap] = sum;
          }
        }
      }
    }
    for (std::int64_t tap = 0; tap < taps; ++tap)
      store_lanes(partials + chunk * size + tap * channels + c, sums[static_cast<std::size_t>(tap)], count);
  };
  const int blocks = ceil_div(channels, simd_lanes);
  context.threads().for_each(chunks.count * blocks, [&](std::int64_t task) {
    const std::int64_t chunk = task / blocks;
    const int c = static_cast<int>(task % blocks) * simd_lanes;
    if (c + simd_lanes <= channels)
      sum_chunk(chunk, c, std::integral_constant<int, simd_lanes>{});
    else
      sum_chunk(chunk, c, channels - c);
  });
  context.threads().for_each(channels, [&](std::int64_t c) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      float sum = 0.0f;
      for (std::int64_t chunk = 0; chunk < chunks.count; ++chunk)
        sum += partials[chunk * size + tap * channels + c];
      dw[c * taps + tap] = sum;
    }
  });
}

}  // namespace convoy
