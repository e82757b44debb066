// The launchers of BiasGrad and of the fused ActivationBiasGrad, and the part of MaxPoolActivationBackward
// that has a bias gradient.
//
// db (C) = sum over the rows of g (rows,C). In BiasGrad g is dy. In the fused calls g is the gradient of an
// activation, with or without a max pooling, which the kernel writes as it goes. Blocks sum slices of the
// rows, lanes of a block in a fixed tree, then split_sum.cu adds the slices: the order follows from rows and
// C alone. Limited by bytes.
#include <algorithm>
#include <bit>

#include "core/ceil_div.h"
#include "kernels/bias_gradient.h"
#include "kernels/cuda_device.cuh"
#include "kernels/fused.h"
#include "kernels/linear.h"
#include "kernels/pool_geometry.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

constexpr int threads = 256;

/// From rows and C alone. `columns` channels (quads of them when C divides) side by side, `lanes` rows.
struct BiasPlan {
  bool quads;
  int columns, lanes, column_blocks, splits;
  std::int64_t chunk;  ///< rows per split
};
BiasPlan plan_bias(std::int64_t rows, int c, std::int64_t fewest_rows_per_lane = 8) {
  constexpr std::int64_t most_splits = 528;
  BiasPlan plan{};
  plan.quads = c % 4 == 0;
  const int width = plan.quads ? c / 4 : c;
  plan.columns = std::max(1, std::min(width, 32));
  plan.lanes = static_cast<int>(std::bit_floor(static_cast<unsigned>(threads / plan.columns)));
  plan.column_blocks = std::max(1, static_cast<int>(ceil_div(width, plan.columns)));
  const std::int64_t wanted =
      std::clamp<std::int64_t>(rows / (plan.lanes * fewest_rows_per_lane), 1,
                               std::max<std::int64_t>(1, most_splits / plan.column_blocks));
  // A second launch costs more than a few more rows.
  plan.chunk = std::max<std::int64_t>(1, ceil_div(rows, wanted < 4 ? 1 : wanted));
  plan.splits = static_cast<int>(std::max<std::int64_t>(1, ceil_div(rows, plan.chunk)));
  return plan;
}

/// Aligned says whether a quad is one access; it changes no bit.
template <int V, bool Aligned, class T>
__device__ __forceinline__ StoredPack<T, V> read(const T* from) {
  if constexpr (Aligned) {
    return load_stored<V>(from, 0);
  } else {
    Pack<V> values;
#pragma unroll
    for (int i = 0; i < V; ++i) values.v[i] = load<1>(from, i).v[0];
    return rounded<T>(values);  // to what they are
  }
}
template <int V, bool Aligned, class T>
__device__ __forceinline__ void write(T* to, const Pack<V>& values) {
  if constexpr (Aligned) {
    store<V>(to, 0, values);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) store<1>(to, i, Pack<1>{values.v[i]});
  }
}

// Where g comes from. A thread loads what several rows need, then finish(row, channel, loaded) returns their
// next V values of g and writes what is to be kept; in that order, because loads do not pass stores.

/// As many as keep the bytes of `floats` rows of floats in flight.
template <class T>
constexpr int rows_like(int floats) {
  return floats * static_cast<int>(sizeof(float) / sizeof(T));
}

/// dy (rows,C) itself.
template <class T>
struct Stored {
  static constexpr int rows_at_once = rows_like<T>(8);
  const T* dy;
  int c;
  template <int V>
  using Loaded = StoredPack<T, V>;
  template <int V, bool Aligned>
  __device__ __forceinline__ Loaded<V> load(std::int64_t row, int channel) const {
    return read<V, Aligned>(dy + row * c + channel);
  }
  template <int V, bool Aligned>
  __device__ __forceinline__ Pack<V> finish(std::int64_t, int, const Loaded<V>& in) const {
    return unpack(in);
  }
};

/// dx (rows,C) = dy f'(y).
template <class T>
struct Masked {
  static constexpr int rows_at_once = rows_like<T>(4);
  const T *dy, *y;
  T* dx;
  int c;
  LeakyReluEpilogue activation;
  template <int V>
  struct Loaded {
    StoredPack<T, V> dy, y;
    __device__ __forceinline__ Pack<V> gradient(const LeakyReluEpilogue& f) const {
      Pack<V> g;
#pragma unroll
      for (int i = 0; i < V; ++i) g.v[i] = f.gradient(y.value(i), dy.value(i));
      return g;
    }
  };
  template <int V, bool Aligned>
  __device__ __forceinline__ Loaded<V> load(std::int64_t row, int channel) const {
    const std::int64_t at = row * c + channel;
    return {read<V, Aligned>(dy + at), read<V, Aligned>(y + at)};
  }
  template <int V, bool Aligned>
  __device__ __forceinline__ Pack<V> finish(std::int64_t row, int channel, const Loaded<V>& in) const {
    const Pack<V> g = in.gradient(activation);
    write<V, Aligned>(dx + row * c + channel, g);
    return g;
  }
};

/// dy f'(y) (N,O,P,Q,C), written to the winning taps of dx (N,D,H,W,C), zeros to the others. The windows tile
/// dx.
template <class T>
struct Pooled {
  static constexpr int rows_at_once = 4;
  Masked<T> masked;
  const std::uint8_t* argmax;
  PoolGeometry geometry;  ///< in packs of V channels, a thread per output
  template <int V>
  struct Loaded {
    typename Masked<T>::template Loaded<V> masked;
    std::uint8_t winner[V];
  };
  template <int V, bool Aligned>
  __device__ __forceinline__ Loaded<V> load(std::int64_t row, int channel) const {
    Loaded<V> in{masked.template load<V, Aligned>(row, channel), {}};
    const std::uint8_t* from = argmax + row * masked.c + channel;
    if constexpr (V == 4 && Aligned) {
      const uchar4 v = __ldg(reinterpret_cast<const uchar4*>(from));
      in.winner[0] = v.x, in.winner[1] = v.y, in.winner[2] = v.z, in.winner[3] = v.w;
    } else {
#pragma unroll
      for (int i = 0; i < V; ++i) in.winner[i] = __ldg(from + i);
    }
    return in;
  }
  template <int V, bool Aligned>
  __device__ __forceinline__ Pack<V> finish(std::int64_t row, int channel, const Loaded<V>& in) const {
    const PoolGeometry& g = geometry;
    const Pack<V> gradient = in.masked.gradient(masked.activation);
    const auto p = g.position(static_cast<std::uint32_t>(row * g.packs + channel / V));
    int tap = 0;
    for (int kd = 0; kd < g.d.kernel; ++kd) {
      for (int kh = 0; kh < g.h.kernel; ++kh) {
        for (int kw = 0; kw < g.w.kernel; ++kw, ++tap) {
          Pack<V> out;
#pragma unroll
          for (int i = 0; i < V; ++i) out.v[i] = in.winner[i] == tap ? gradient.v[i] : 0.0f;
          const std::int64_t to = g.in_pack(p, g.d.start(p.d) + kd, g.h.start(p.h) + kh, g.w.start(p.w) + kw);
          write<V, Aligned>(masked.dx + to * V, out);
        }
      }
    }
    return gradient;
  }
};

template <int V, bool Aligned, class Source>
__global__ void __launch_bounds__(threads)
    bias_grad_kernel(const __grid_constant__ Source source, float* __restrict__ partials, std::int64_t rows,
                     int c, const BiasPlan plan) {
  __shared__ Pack<V> shared[threads];
  const int tid = static_cast<int>(threadIdx.x), column = tid % plan.columns, lane = tid / plan.columns;
  const int channel = (static_cast<int>(blockIdx.x) * plan.columns + column) * V;
  const std::int64_t begin = blockIdx.y * plan.chunk, end = min(begin + plan.chunk, rows);
  const bool active = channel < c && lane < plan.lanes;
  Pack<V> sum{};
  if (active) {
    constexpr int batch = Source::rows_at_once;
    for (std::int64_t first = begin + lane; first < end; first += std::int64_t{batch} * plan.lanes) {
      typename Source::template Loaded<V> in[batch];
#pragma unroll
      for (int r = 0; r < batch; ++r) {
        const std::int64_t row = first + std::int64_t{r} * plan.lanes;
        if (row < end) in[r] = source.template load<V, Aligned>(row, channel);
      }
#pragma unroll
      for (int r = 0; r < batch; ++r) {
        const std::int64_t row = first + std::int64_t{r} * plan.lanes;
        if (row >= end) break;
        const Pack<V> g = source.template finish<V, Aligned>(row, channel, in[r]);
#pragma unroll
        for (int i = 0; i < V; ++i) sum.v[i] += g.v[i];
      }
    }
  }
  shared[tid] = sum;
  for (int half = plan.lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
#pragma unroll
      for (int i = 0; i < V; ++i) shared[tid].v[i] += shared[tid + half * plan.columns].v[i];
    }
  }
  if (!active || lane > 0) return;
#pragma unroll
  for (int i = 0; i < V; ++i) partials[std::int64_t{blockIdx.y} * c + channel + i] = shared[tid].v[i];
}

std::int64_t partials_bytes(const BiasPlan& plan, int c) {
  return plan.splits == 1 ? 0 : std::int64_t{sizeof(float)} * plan.splits * c;
}

/// db (C) = the sum of what `source` makes over all rows; `aligned`: its quads are.
template <class Source>
void launch_bias_grad(const CudaContext& context, const Source& source, std::int64_t rows, int c,
                      const BiasPlan& plan, const Tensor& bias_gradient, bool aligned) {
  auto* db = context.data<float>(bias_gradient);
  float* partials = plan.splits == 1 ? db : context.arenas.workspace<float>(partials_bytes(plan, c));
  const dim3 blocks(static_cast<unsigned>(plan.column_blocks), static_cast<unsigned>(plan.splits));
  const auto kernel = !plan.quads ? bias_grad_kernel<1, false, Source>
                      : aligned   ? bias_grad_kernel<4, true, Source>
                                  : bias_grad_kernel<4, false, Source>;
  kernel<<<blocks, threads, 0, context.stream>>>(source, partials, rows, c, plan);
  check_launch();
  if (plan.splits > 1) sum_splits(context, partials, db, plan.splits, c);
}

std::int64_t windows(const PoolShape& s) {
  return s.n * s.out().pixels();
}
/// A row of windows writes several of dx: fewer of them keep a lane busy.
BiasPlan plan_pooled(const PoolShape& s) {
  return plan_bias(windows(s), s.in.c, 4);
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const BiasGrad& call) {
  return partials_bytes(plan_bias(call.rows, call.c), call.c);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const ActivationBiasGrad& call) {
  return partials_bytes(plan_bias(call.rows, call.c), call.c);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const MaxPoolActivationBackward& call) {
  return call.db ? partials_bytes(plan_pooled(call.plain.shape), call.plain.shape.in.c) : 0;
}

void launch(const CudaContext& context, const BiasGrad& call) {
  if (call.c == 0) return;
  with_storage(call.dy.dtype, [&]<class T>(T) {
    const Stored<T> source{context.data<const T>(call.dy), call.c};  // (rows,C)
    launch_bias_grad(context, source, call.rows, call.c, plan_bias(call.rows, call.c), call.db,
                     in_fours(call.c, source.dy));
  });
}

void launch(const CudaContext& context, const ActivationBiasGrad& call) {
  if (call.c == 0) return;
  with_storage(call.dx.dtype, [&]<class T>(T) {
    const Masked<T> source{context.data<const T>(call.dy), context.data<const T>(call.y),
                           context.data<T>(call.dx), call.c, call.activation};  // all (rows,C)
    launch_bias_grad(context, source, call.rows, call.c, plan_bias(call.rows, call.c), call.db,
                     in_fours(call.c, source.dy, source.y, source.dx));
  });
}

void max_pool_bias_gradient(const CudaContext& context, const MaxPoolActivationBackward& call) {
  const PoolShape& s = call.plain.shape;
  check(tiles_input(s), "a bias gradient behind windows that overlap or leave gaps");
  const BiasPlan plan = plan_pooled(s);
  const int width = plan.quads ? 4 : 1;
  check(windows(s) * s.in.c / width <= std::int64_t{1} << 30, "a batch too large to pool");
  with_storage(call.plain.dx.dtype, [&]<class T>(T) {
    const Masked<T> masked{context.data<const T>(call.plain.dy), context.data<const T>(call.y),
                           context.data<T>(call.plain.dx), s.in.c, call.activation};
    const Pooled<T> source{masked, context.data<const std::uint8_t>(call.plain.argmax),
                           pool_geometry(s, width, false)};
    launch_bias_grad(context, source, windows(s), s.in.c, plan, call.db,
                     in_fours(s.in.c, masked.dy, masked.y, masked.dx, source.argmax));
  });
}

}  // namespace convoy
