// How depthwise kernels are launched, for one type that tensors are stored in.
#pragma once

#include <cmath>

#include "kernels/conv/cuda/depthwise/any.cuh"
#include "kernels/conv/cuda/depthwise/depthwise.h"
#include "kernels/conv/cuda/depthwise/strips.cuh"
#include "kernels/conv/cuda/depthwise/wgrad.cuh"

namespace convoy {
namespace depthwise {

inline FastDivide divide_by(int divisor) {
  return FastDivide(static_cast<std::uint32_t>(std::max(1, divisor)));
}

/// Calls run(integral_constant) for the side of a window that has_strips().
template <class Run>
void with_size(int size, Run run) {
  if (size == 3) return run(std::integral_constant<int, 3>{});
  if (size == 5) return run(std::integral_constant<int, 5>{});
  check(size == 7, "internal error: no strips for this window");
  run(std::integral_constant<int, 7>{});
}
template <class Run>
void with_size_and_stride(const ConvShape& s, Run run) {
  with_size(s.s, [&](auto size) {
    if (s.stride[2] == 1) return run(size, std::integral_constant<int, 1>{});
    run(size, std::integral_constant<int, 2>{});
  });
}

/// Whether all of these may be moved in whole vectors by the kernels that work by strips.
template <class T, class... Pointers>
bool strips_suit(const ConvShape& s, const Pointers*... pointers) {
  return has_strips(s) && in_packs(full_pack<T>, s.in.c, pointers...);
}

/// Strips and rows of a block: about square, since neighbours share what they read.
template <class T>
void launch_strips(const CudaContext& context, StripProblem<T> problem, std::int64_t planes, int strips,
                   void (*kernel)(StripProblem<T>)) {
  const ChannelBlocks channels = channel_blocks(problem.channels, full_pack<T>);
  const int room = depthwise_threads / channels.vectors;
  const int strip_blocks = ceil_div(strips, std::max(1, static_cast<int>(std::sqrt(room / 2.0))));
  const int block_strips = ceil_div(strips, strip_blocks);
  const int row_blocks = ceil_div(problem.to_h, std::min(most_depthwise_rows, room / block_strips));
  const int block_rows = ceil_div(problem.to_h, row_blocks);
  problem.by_channel_blocks = divide_by(channels.blocks);
  problem.by_strip_blocks = divide_by(strip_blocks);
  problem.by_row_blocks = divide_by(row_blocks);
  const unsigned blocks = blocks_for(planes * row_blocks * strip_blocks * channels.blocks, 1);
  const dim3 threads(static_cast<unsigned>(channels.vectors), static_cast<unsigned>(block_strips),
                     static_cast<unsigned>(block_rows));
  kernel<<<blocks, threads, 0, context.stream>>>(problem);
  check_launch();
}

inline AnyGeometry geometry_of(const ConvShape& s, int width, bool per_input) {
  const FeatureShape out = s.out();
  AnyGeometry g;
  g.d = {s.in.d, out.d, s.t, s.stride[0], s.pad[0], s.dilation[0]};
  g.h = {s.in.h, out.h, s.r, s.stride[1], s.pad[1], s.dilation[1]};
  g.w = {s.in.w, out.w, s.s, s.stride[2], s.pad[2], s.dilation[2]};
  g.vectors = s.in.c / width;
  g.taps = static_cast<int>(s.taps());
  g.by_vectors = divide_by(g.vectors);
  g.by_w = divide_by(per_input ? g.w.in : g.w.out);
  g.by_h = divide_by(per_input ? g.h.in : g.h.out);
  g.by_d = divide_by(per_input ? g.d.in : g.d.out);
  return g;
}

/// Calls function(width, geometry, threads, first image) for runs of images short enough for 32-bit indices.
template <class T, class Function>
void for_each_run(const ConvShape& s, int widest, bool per_input, Function function) {
  const std::int64_t per_image = per_input ? s.in.count() : s.out().count();
  with_pack_width<T>(widest, [&](auto width) {
    const AnyGeometry geometry = geometry_of(s, width, per_input);
    const std::int64_t vectors = per_image / width, limit = std::int64_t{1} << 30;
    check(vectors <= limit, "an image too large for a depthwise convolution");
    const std::int64_t images_per_run = limit / vectors;
    for (std::int64_t first = 0; first < s.n; first += images_per_run) {
      const std::int64_t images = std::min<std::int64_t>(images_per_run, s.n - first);
      function(width, geometry, static_cast<std::uint32_t>(images * vectors), first);
      check_launch();
    }
  });
}

}  // namespace depthwise

template <class T>
void DepthwiseKernels<T>::fprop(const CudaContext& context, const ConvForward& call,
                                LeakyReluEpilogue activation) {
  using namespace depthwise;
  const ConvShape& s = call.shape;
  const FeatureShape out = s.out();
  const auto* x = context.data<const T>(call.x);            // (N,D,H,W,C)
  const auto* w = context.data<const T>(call.w);            // (C,T,R,S,1)
  const auto* bias = context.data<const float>(call.bias);  // (C) or null
  auto* y = context.data<T>(call.y);                        // (N,O,P,Q,C)
  if (strips_suit<T>(s, x, y)) {
    const StripProblem<T> problem{x,     w,        bias,     y,     s.in.c,     s.in.h, s.in.w, out.h,
                                  out.w, s.pad[1], s.pad[2], false, activation, {},     {},     {}};
    return with_size_and_stride(s, [&](auto size, auto stride) {
      launch_strips(context, problem, std::int64_t{s.n} * s.in.d, ceil_div(out.w, strip_length),
                    strips_kernel<full_pack<T>, size(), stride(), T>);
    });
  }
  for_each_run<T>(s, pack_width<T>(s.in.c, x, y), false,
                  [&](auto width, const AnyGeometry& g, std::uint32_t count, std::int64_t first) {
                    any_fprop_kernel<width()><<<blocks_for(count), block_size, 0, context.stream>>>(
                        count, g, x + first * s.in.count(), w, bias, y + first * out.count(), activation);
                  });
}

template <class T>
void DepthwiseKernels<T>::dgrad(const CudaContext& context, const ConvDgrad& call) {
  using namespace depthwise;
  const ConvShape& s = call.shape;
  const FeatureShape out = s.out();
  const auto* dy = context.data<const T>(call.dy);  // (N,O,P,Q,C)
  const auto* w = context.data<const T>(call.w);    // (C,T,R,S,1)
  auto* dx = context.data<T>(call.dx);              // (N,D,H,W,C)
  if (strips_suit<T>(s, dy, dx)) {
    const std::int64_t planes = std::int64_t{s.n} * s.in.d;
    StripProblem<T> problem{dy,     w,        nullptr,  dx,    s.in.c, out.h, out.w, s.in.h,
                            s.in.w, s.pad[1], s.pad[2], false, {},     {},    {},    {}};
    if (s.stride[2] == 1) {  // fprop by the reversed window
      problem.pad_h = s.r - 1 - s.pad[1], problem.pad_w = s.s - 1 - s.pad[2], problem.reversed = true;
      return with_size(s.s, [&](auto size) {
        launch_strips(context, problem, planes, ceil_div(s.in.w, strip_length),
                      strips_kernel<full_pack<T>, size(), 1, T>);
      });
    }
    return with_size(s.s, [&](auto size) {
      launch_strips(context, problem, planes, ceil_div(s.in.w + s.pad[2] % 2, strip_length),
                    strided_dgrad_kernel<full_pack<T>, size(), T>);
    });
  }
  for_each_run<T>(s, pack_width<T>(s.in.c, dy, dx), true,
                  [&](auto width, const AnyGeometry& g, std::uint32_t count, std::int64_t first) {
                    any_dgrad_kernel<width()><<<blocks_for(count), block_size, 0, context.stream>>>(
                        count, g, dy + first * out.count(), w, dx + first * s.in.count());
                  });
}

template <class T>
void DepthwiseKernels<T>::wgrad(const CudaContext& context, const ConvWgrad& call, const WgradPlan& sum,
                                float* partials) {
  using namespace depthwise;
  const ConvShape& s = call.shape;
  const FeatureShape out = s.out();
  const auto* x = context.data<const T>(call.x);    // (N,D,H,W,C)
  const auto* dy = context.data<const T>(call.dy);  // (N,O,P,Q,C)
  const int rows = static_cast<int>(s.n * std::int64_t{out.d} * out.h);
  const auto splits = static_cast<unsigned>(sum.splits);
  if (strips_suit<T>(s, x, dy)) {
    const WgradProblem<T> problem{x,     dy,       partials, s.in.c, s.in.h,    s.in.w,          out.h,
                                  out.w, s.pad[1], s.pad[2], rows,   sum.chunk, divide_by(out.h)};
    const ChannelBlocks channels = channel_blocks(s.in.c, full_pack<T>);
    const dim3 threads(static_cast<unsigned>(channels.vectors), static_cast<unsigned>(s.r),
                       static_cast<unsigned>(depthwise_wgrad_lanes(s, call.x.dtype)));
    with_size_and_stride(s, [&](auto size, auto stride) {
      strips_wgrad_kernel<full_pack<T>, size(), stride(), T>
          <<<dim3(static_cast<unsigned>(channels.blocks), splits), threads, 0, context.stream>>>(problem);
    });
    return check_launch();
  }
  with_pack_width<T>(pack_width<T>(s.in.c, x, dy), [&](auto width) {
    const AnyGeometry g = geometry_of(s, width, false);
    const ChannelBlocks channels = channel_blocks(s.in.c, width);
    const int taps_at_once = std::min(g.taps, depthwise_threads / channels.vectors);
    const dim3 blocks(static_cast<unsigned>(channels.blocks),
                      static_cast<unsigned>(ceil_div(g.taps, taps_at_once)), splits);
    const dim3 threads(static_cast<unsigned>(channels.vectors), static_cast<unsigned>(taps_at_once));
    any_wgrad_kernel<width()><<<blocks, threads, 0, context.stream>>>(g, x, dy, partials, rows, sum.chunk);
  });
  check_launch();
}

}  // namespace convoy
