// Max and average pooling, x (N,D,H,W,C) -> y (N,O,P,Q,C) and back. One thread owns one pack of channels of
// one output pixel (forward) or of one input pixel (backward, which gathers from the windows that cover it:
// no atomics). All but argmax is stored as T. Bytes limit all of them; neighbouring windows meet in the
// caches.
#include <cmath>

#include "kernels/bias_gradient.h"
#include "kernels/cuda_device.cuh"
#include "kernels/fused.h"
#include "kernels/pool.h"
#include "kernels/pool_geometry.h"

namespace convoy {
namespace {

/// V winning taps, one byte each.
template <int V>
struct alignas(V) TapPack {
  std::uint8_t v[V];
};

/// Tells the compiler that the windows are not adaptive, which costs no instruction.
__device__ __forceinline__ void assume_sliding(const PoolGeometry& g) {
  __builtin_assume(!g.d.adaptive && !g.h.adaptive && !g.w.adaptive);
}

// Square = 2 or 3: a plane window of that side known to the compiler, so that its loads leave together; 0:
// any window.
template <int V, int Square, class T>
__global__ void __launch_bounds__(block_size)
    max_forward_kernel(std::uint32_t count, PoolGeometry g, const T* __restrict__ x, T* __restrict__ y,
                       std::uint8_t* __restrict__ argmax) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  assume_sliding(g);
  const auto p = g.position(i);
  const int kernel_h = Square > 0 ? Square : g.h.kernel, kernel_w = Square > 0 ? Square : g.w.kernel;
  const IndexRange taps_d = Square > 0 ? IndexRange{0, 1} : g.d.taps(p.d);
  const IndexRange taps_h = g.h.taps(p.h), taps_w = g.w.taps(p.w);
  const int d0 = Square > 0 ? p.d : g.d.start(p.d), h0 = g.h.start(p.h), w0 = g.w.start(p.w);
  const int first_tap = (taps_d.first * kernel_h + taps_h.first) * kernel_w + taps_w.first;
  Pack<V> best;
  int winner[V];
#pragma unroll
  for (int c = 0; c < V; ++c) best.v[c] = -INFINITY, winner[c] = first_tap;
  const auto visit = [&](int tap, const Pack<V>& value) {
#pragma unroll
    for (int c = 0; c < V; ++c) {
      const float v = value.v[c];
      if (v > best.v[c] || (isnan(v) && !isnan(best.v[c]))) best.v[c] = v, winner[c] = tap;
    }
  };
  if constexpr (Square > 0) {
    StoredPack<T, V> value[Square * Square];
    Pack<V> padding;  // never wins
#pragma unroll
    for (int c = 0; c < V; ++c) padding.v[c] = -INFINITY;
#pragma unroll
    for (int t = 0; t < Square * Square; ++t) {
      const int kh = t / Square, kw = t % Square;
      const bool inside = kh >= taps_h.first && kh < taps_h.last && kw >= taps_w.first && kw < taps_w.last;
      value[t] = rounded<T>(padding);
      if (inside) value[t] = load_stored<V>(x, g.in_pack(p, d0, h0 + kh, w0 + kw));
    }
#pragma unroll
    for (int t = 0; t < Square * Square; ++t) visit(t, unpack(value[t]));
  } else {
    for (int kd = taps_d.first; kd < taps_d.last; ++kd) {
      for (int kh = taps_h.first; kh < taps_h.last; ++kh) {
        for (int kw = taps_w.first; kw < taps_w.last; ++kw) {
          visit((kd * kernel_h + kh) * kernel_w + kw, load<V>(x, g.in_pack(p, d0 + kd, h0 + kh, w0 + kw)));
        }
      }
    }
  }
  store<V>(y, i, best);
  if (argmax != nullptr) {
    TapPack<V> taps;
#pragma unroll
    for (int c = 0; c < V; ++c) taps.v[c] = static_cast<std::uint8_t>(winner[c]);
    reinterpret_cast<TapPack<V>*>(argmax)[i] = taps;
  }
}

/// Calls visit(tap, output pack, output d, h, w) for every window that covers input pixel p, in the order of
/// the outputs.
template <class Visit>
__device__ void for_each_covering(const PoolGeometry& g, const PoolGeometry::Position& p, Visit visit) {
  const IndexRange over_d = g.d.covering(p.d), over_h = g.h.covering(p.h), over_w = g.w.covering(p.w);
  for (int od = over_d.first; od < over_d.last; ++od) {
    for (int oh = over_h.first; oh < over_h.last; ++oh) {
      for (int ow = over_w.first; ow < over_w.last; ++ow) {
        const int kd = p.d - g.d.start(od), kh = p.h - g.h.start(oh), kw = p.w - g.w.start(ow);
        visit((kd * g.h.kernel + kh) * g.w.kernel + kw, g.out_pack(p, od, oh, ow), od, oh, ow);
      }
    }
  }
}

// With y, the pooled activation, its gradient comes on top: dy f'(y) is what goes to the winners.
template <int V, bool Activated, class T>
__global__ void __launch_bounds__(block_size)
    max_backward_kernel(std::uint32_t count, PoolGeometry g, const T* __restrict__ dy,
                        const std::uint8_t* __restrict__ argmax, T* __restrict__ dx, const T* __restrict__ y,
                        LeakyReluEpilogue activation) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  assume_sliding(g);
  Pack<V> sum{};
  for_each_covering(g, g.position(i), [&](int tap, std::int64_t out, int, int, int) {
    const TapPack<V> winner = reinterpret_cast<const TapPack<V>*>(argmax)[out];
    Pack<V> value = load<V>(dy, out);
    if constexpr (Activated) {
      const Pack<V> pooled = load<V>(y, out);
#pragma unroll
      for (int c = 0; c < V; ++c) value.v[c] = activation.gradient(pooled.v[c], value.v[c]);
    }
#pragma unroll
    for (int c = 0; c < V; ++c) sum.v[c] += winner.v[c] == tap ? value.v[c] : 0.0f;
  });
  store<V>(dx, i, sum);
}

// DividesByTaps: every mean divides by g.inv_taps; else by what its window counts.
template <int V, bool DividesByTaps, class T>
__global__ void __launch_bounds__(block_size)
    average_forward_kernel(std::uint32_t count, PoolGeometry g, const T* __restrict__ x, T* __restrict__ y) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  if constexpr (DividesByTaps) assume_sliding(g);
  const auto p = g.position(i);
  const IndexRange taps_d = g.d.taps(p.d), taps_h = g.h.taps(p.h), taps_w = g.w.taps(p.w);
  const int d0 = g.d.start(p.d), h0 = g.h.start(p.h), w0 = g.w.start(p.w);
  Pack<V> sum{};
  for (int kd = taps_d.first; kd < taps_d.last; ++kd) {
    for (int kh = taps_h.first; kh < taps_h.last; ++kh) {
#pragma unroll 4
      for (int kw = taps_w.first; kw < taps_w.last; ++kw) {
        const Pack<V> value = load<V>(x, g.in_pack(p, d0 + kd, h0 + kh, w0 + kw));
#pragma unroll
        for (int c = 0; c < V; ++c) sum.v[c] += value.v[c];
      }
    }
  }
  const float scale = DividesByTaps ? g.inv_taps : 1.0f / static_cast<float>(g.counted(p.d, p.h, p.w));
#pragma unroll
  for (int c = 0; c < V; ++c) sum.v[c] *= scale;
  store<V>(y, i, sum);
}

template <int V, bool DividesByTaps, class T>
__global__ void __launch_bounds__(block_size)
    average_backward_kernel(std::uint32_t count, PoolGeometry g, const T* __restrict__ dy,
                            T* __restrict__ dx) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  if constexpr (DividesByTaps) assume_sliding(g);
  Pack<V> sum{};
  for_each_covering(g, g.position(i), [&](int, std::int64_t out, int od, int oh, int ow) {
    const Pack<V> value = load<V>(dy, out);
    const float scale = DividesByTaps ? 1.0f : 1.0f / static_cast<float>(g.counted(od, oh, ow));
#pragma unroll
    for (int c = 0; c < V; ++c) sum.v[c] += value.v[c] * scale;
  });
#pragma unroll
  for (int c = 0; c < V; ++c) sum.v[c] *= DividesByTaps ? g.inv_taps : 1.0f;
  store<V>(dx, i, sum);
}

/// Calls function(width, geometry, threads, first image) for runs of images short enough for 32-bit indices:
/// one run, unless a tensor holds 2^31 packs or more.
template <class T, class Function>
void for_each_run(const PoolShape& shape, int widest, bool per_input, Function function) {
  const std::int64_t per_image = per_input ? shape.in.count() : shape.out().count();
  if (shape.n == 0 || per_image == 0) return;
  with_pack_width<T>(widest, [&](auto width) {
    constexpr int v = decltype(width)::value;
    const PoolGeometry geometry = pool_geometry(shape, v, per_input);
    const std::int64_t packs = per_image / v, limit = std::int64_t{1} << 30;
    check(packs <= limit, "an image too large to pool");
    const std::int64_t images_per_run = limit / packs;
    for (std::int64_t first = 0; first < shape.n; first += images_per_run) {
      const std::int64_t images = std::min<std::int64_t>(images_per_run, shape.n - first);
      function(width, geometry, static_cast<std::uint32_t>(images * packs), first);
      check_launch();
    }
  });
}

bool is_plane_square(const PoolShape& s, int side) {
  return s.kernel == Axes{1, side, side} && s.stride[0] == 1 && s.pad[0] == 0;
}

/// `pooled`, the pooled activation, is absent where there is none to go back through.
template <bool Activated>
void max_backward(const CudaContext& context, const MaxPoolBackward& call, const Tensor& pooled,
                  LeakyReluEpilogue activation) {
  const PoolShape& s = call.shape;
  const auto* argmax = context.data<const std::uint8_t>(call.argmax);
  const std::int64_t in = s.in.count(), out = s.out().count();
  with_storage(call.dx.dtype, [&]<class T>(T) {
    const auto *dy = context.data<const T>(call.dy), *y = context.data<const T>(pooled);
    auto* dx = context.data<T>(call.dx);
    const int widest = pack_width<T>(s.in.c, dy, dx, y, argmax);
    for_each_run<T>(s, widest, true,
                    [&](auto width, const PoolGeometry& g, std::uint32_t count, std::int64_t first) {
                      max_backward_kernel<decltype(width)::value, Activated>
                          <<<blocks_for(count), block_size, 0, context.stream>>>(
                              count, g, dy + first * out, argmax + first * out, dx + first * in,
                              Activated ? y + first * out : nullptr, activation);
                    });
  });
}

}  // namespace

void launch(const CudaContext& context, const MaxPoolForward& call) {
  const PoolShape& s = call.shape;
  check(s.taps() <= 255, "max pooling over more than 255 taps");
  auto* argmax = context.data<std::uint8_t>(call.argmax);
  const std::int64_t in = s.in.count(), out = s.out().count();
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    const int widest = pack_width<T>(s.in.c, x, y, argmax);
    for_each_run<T>(
        s, widest, false, [&](auto width, const PoolGeometry& g, std::uint32_t count, std::int64_t first) {
          constexpr int v = decltype(width)::value;
          auto* kernel = is_plane_square(s, 2)   ? &max_forward_kernel<v, 2, T>
                         : is_plane_square(s, 3) ? &max_forward_kernel<v, 3, T>
                                                 : &max_forward_kernel<v, 0, T>;
          kernel<<<blocks_for(count), block_size, 0, context.stream>>>(
              count, g, x + first * in, y + first * out, argmax == nullptr ? nullptr : argmax + first * out);
        });
  });
}

void launch(const CudaContext& context, const MaxPoolBackward& call) {
  max_backward<false>(context, call, {}, LeakyReluEpilogue{});
}
void launch(const CudaContext& context, const MaxPoolActivationBackward& call) {
  if (call.db) return max_pool_bias_gradient(context, call);
  max_backward<true>(context, call.plain, call.y, call.activation);
}

void launch(const CudaContext& context, const AvgPoolForward& call) {
  const PoolShape& s = call.shape;
  const std::int64_t in = s.in.count(), out = s.out().count();
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    auto* y = context.data<T>(call.y);
    for_each_run<T>(s, pack_width<T>(s.in.c, x, y), false,
                    [&](auto width, const PoolGeometry& g, std::uint32_t count, std::int64_t first) {
                      constexpr int v = decltype(width)::value;
                      auto* kernel = s.divides_by_taps() ? &average_forward_kernel<v, true, T>
                                                         : &average_forward_kernel<v, false, T>;
                      kernel<<<blocks_for(count), block_size, 0, context.stream>>>(count, g, x + first * in,
                                                                                   y + first * out);
                    });
  });
}

void launch(const CudaContext& context, const AvgPoolBackward& call) {
  const PoolShape& s = call.shape;
  const std::int64_t in = s.in.count(), out = s.out().count();
  with_storage(call.dx.dtype, [&]<class T>(T) {
    const auto* dy = context.data<const T>(call.dy);
    auto* dx = context.data<T>(call.dx);
    for_each_run<T>(s, pack_width<T>(s.in.c, dy, dx), true,
                    [&](auto width, const PoolGeometry& g, std::uint32_t count, std::int64_t first) {
                      constexpr int v = decltype(width)::value;
                      auto* kernel = s.divides_by_taps() ? &average_backward_kernel<v, true, T>
                                                         : &average_backward_kernel<v, false, T>;
                      kernel<<<blocks_for(count), block_size, 0, context.stream>>>(count, g, dy + first * out,
                                                                                   dx + first * in);
                    });
  });
}

}  // namespace convoy
