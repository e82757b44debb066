// The sums over rows of batch normalisation and what follows from them per channel (batchnorm_rows.cuh).
//
// Each thread adds short runs in float, runs in double; a block adds its threads in order and leaves (2,C)
// doubles in the workspace; a second kernel adds the blocks in order. The order follows from the shape alone.
#include <algorithm>

#include "kernels/batchnorm_moments.cuh"
#include "kernels/batchnorm_rows.cuh"
#include "kernels/fused.h"
#include "kernels/loss_scale.h"

namespace convoy {
namespace {

using Tiling = BatchNormTiling;
/// Rows that a thread adds in float before they meet the double sum. Longer where x is rounded to 16 bits,
/// which is far coarser than these sums.
template <class T>
constexpr int run_length = sizeof(T) == 2 ? 32 : 16;

/// x and x².
template <int V>
struct Moments {
  static constexpr int inputs = 1, blocks_at_once = 4;
  struct Constants {};
  __device__ Constants constants(std::int64_t, std::int64_t) const { return {}; }
  __device__ void terms(const Constants&, int, const float (&in)[inputs], float& a, float& b) const {
    a = in[0];
    b = in[0] * in[0];
  }
};

/// g and g·x̂, where g is dy after the gate. Inputs: dy, x and the gate's own.
template <int V, class Gate>
struct Gradients {
  static constexpr int inputs = Gate::inputs, blocks_at_once = 2;
  const float *mean, *inv_std;  // (groups,C)
  Gate gate;
  struct Constants {
    Pack<V> mean, inv_std;
    typename Gate::Constants gate;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    Constants k{load<V>(mean, group_pack), load<V>(inv_std, group_pack), {}};
    k.gate = gate.constants(k.mean, k.inv_std, pack);
    return k;
  }
  __device__ void terms(const Constants& k, int c, const float (&in)[inputs], float& a, float& b) const {
    a = gate(k.gate, c, in);
    b = a * ((in[1] - k.mean.v[c]) * k.inv_std.v[c]);
  }
};

// Keeps: the first term of every element goes to `kept` (rows,C), too.
// Grid: x = slice, y = group, z = tile of channels. partials (groups of this rank, slices, 2, C).
template <int V, bool Keeps, class Terms, class T>
__global__ void __launch_bounds__(Tiling::block, V >= 4 ? Terms::blocks_at_once : 0)
    partial_sums_kernel(Tiling t, const __grid_constant__ Terms terms, RowInputs<T, Terms::inputs> input,
                        double* __restrict__ partials, T* kept) {
  __shared__ double shared[2 * V][Tiling::block];
  BatchNormPlace p = place_of(t);
#pragma unroll
  for (int k = 0; k < 2 * V; ++k) shared[k][threadIdx.x] = 0.0;
  // Volatile: otherwise the compiler keeps the thread's sums in registers, which the rows in flight need.
  const auto add = [&](int k, float run) {
    volatile double& sum = shared[k][threadIdx.x];
    sum = sum + static_cast<double>(run);
  };
  if (!p.idle && p.row < p.end) {
    constexpr int step_rows = rows_in_flight<V, Terms>;
    const auto constants = terms.constants(std::int64_t{p.group} * t.packs + p.pack, p.pack);
    while (p.row < p.end) {
      float run[2][V] = {};
      for (int step = 0; step < run_length<T> / step_rows && p.row < p.end; ++step) {
        Pack<V> firsts;
        visit_rows<V, Terms>(t, p, p.row, input, [&](std::int64_t at, int c, const auto& values) {
          float a, b;
          terms.terms(constants, c, values, a, b);
          run[0][c] += a;
          run[1][c] += b;
          if constexpr (Keeps) {
            firsts.v[c] = a;
            if (c == V - 1) store<V>(kept, at, firsts);
          }
        });
        p.row += step_rows * t.rows;
      }
#pragma unroll
      for (int c = 0; c < V; ++c) {
        add(c, run[0][c]);
        add(V + c, run[1][c]);
      }
    }
  }
  // A tree over the threads that share channels: threads are (row, lane), lane fastest.
  for (int half = t.rows / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half * t.lanes) {
#pragma unroll
      for (int k = 0; k < 2 * V; ++k) shared[k][threadIdx.x] += shared[k][threadIdx.x + half * t.lanes];
    }
  }
  if (static_cast<int>(threadIdx.x) < t.lanes && !p.idle) {  // its own column of `shared`
    const int channels = t.packs * V;
    double* out = partials + (std::int64_t{blockIdx.y} * t.slices + blockIdx.x) * 2 * channels + p.pack * V;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      out[c] = shared[c][threadIdx.x];
      out[channels + c] = shared[V + c][threadIdx.x];
    }
  }
}

constexpr int finish_columns = 32, finish_lanes = 16, finish_together = 16;

/// sums (all groups, 2, C) = the slices' partials added in order, zero for groups without images here; with
/// `totals`, (C) each: their sums over the groups. Columns are (2,C); lane l takes slices l, l + 16, ...
/// (bounds: one block at once suffices, and leaves the registers for the loads)
__global__ void __launch_bounds__(finish_columns* finish_lanes, 1)
    finish_sums_kernel(Tiling t, int all_groups, int channels, const double* __restrict__ partials,
                       double* __restrict__ sums, float* __restrict__ totals_first,
                       float* __restrict__ totals_second) {
  __shared__ double shared[finish_lanes][finish_columns];
  const int columns = 2 * channels;
  const int column = static_cast<int>(blockIdx.x) * finish_columns + static_cast<int>(threadIdx.x);
  const int lane = static_cast<int>(threadIdx.y);
  double total = 0.0;
  for (int group = 0; group < all_groups; ++group) {
    const int local = group - t.first_group;
    double sum = 0.0;
    if (local >= 0 && local < t.groups) {  // the same for the whole block
      if (column < columns) {
        const double* own = partials + std::int64_t{local} * t.slices * columns + column;
        for (int first = lane; first < t.slices; first += finish_lanes * finish_together) {
          double part[finish_together];  // loaded together; zero beyond the slices, which changes no bit
#pragma unroll
          for (int i = 0; i < finish_together; ++i) {
            const int slice = first + i * finish_lanes;
            part[i] = slice < t.slices ? own[std::int64_t{slice} * columns] : 0.0;
          }
#pragma unroll
          for (int i = 0; i < finish_together; ++i) sum += part[i];
        }
      }
      shared[lane][threadIdx.x] = sum;
      __syncthreads();
      if (lane == 0) {
        for (int other = 1; other < finish_lanes; ++other) sum += shared[other][threadIdx.x];
      }
      __syncthreads();
    }
    if (lane == 0 && column < columns) {
      sums[std::int64_t{group} * columns + column] = sum;
      total += sum;
    }
  }
  if (lane != 0 || column >= columns || totals_first == nullptr) return;
  float* totals = column < channels ? totals_first + column : totals_second + (column - channels);
  *totals = static_cast<float>(total);
}

/// One thread per channel.
__global__ void __launch_bounds__(block_size)
    moments_kernel(const BatchNormShape s, const double* __restrict__ sums,
                   const __grid_constant__ MomentsOutput to) {
  const int c = static_cast<int>(blockIdx.x * block_size + threadIdx.x);
  if (c >= s.c) return;
  const int groups = s.groups();
  ChannelMoments moments(s, to, c);
  for (int g = 0; g < groups; ++g) {
    const double* own = sums + std::int64_t{2} * g * s.c + c;
    moments.add(g, own[0], own[s.c]);
  }
  moments.finish();
}

/// One thread per running average.
__global__ void __launch_bounds__(block_size)
    running_kernel(std::int64_t count, const float* __restrict__ batch, float* __restrict__ running,
                   const float* __restrict__ momentum, const float* __restrict__ scale) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= count || (scale != nullptr && scale[loss_scale::skip] != 0.0f)) return;
  running[i] += momentum[i / parameter_alignment] * (batch[i] - running[i]);
}

/// The largest of what the pack widths of x need: the plan sizes the workspace before addresses are known.
std::int64_t partials_bytes(const BatchNormShape& s, DType of_x) {
  if (s.n == 0) return 0;
  std::int64_t bytes = 0;
  for (const int width : {1, 4, 8}) {
    if (s.c % width != 0 || width * size_of(of_x) > 16) continue;
    const Tiling t = batchnorm_tiling(s, width);
    bytes = std::max(bytes, std::int64_t{t.groups} * t.slices * 2 * s.c * std::int64_t{sizeof(double)});
  }
  return bytes;
}

/// Where the sums of a call go.
struct SumsOutput {
  Tensor sums, totals_first, totals_second;  ///< totals: over the groups; absent for statistics
};

/// make_terms(width) gives the two terms of an element; where Keeps, the first goes to `kept`, too.
template <bool Keeps = false, class T, int N, class MakeTerms>
void launch_sums(const CudaContext& context, const BatchNormShape& s, int widest, const SumsOutput& to,
                 const RowInputs<T, N>& input, MakeTerms make_terms, T* kept = nullptr) {
  if (s.groups() == 0 && !to.totals_first) return;
  auto* partials = context.arenas.workspace<double>(partials_bytes(s, dtype_of<T>()));
  with_pack_width<T>(widest, [&](auto width) {
    constexpr int v = decltype(width)::value;
    Tiling t;  // without images: no groups, and the second kernel writes zeros
    if (s.n > 0) {
      t = batchnorm_tiling(s, v);
      partial_sums_kernel<v, Keeps><<<batchnorm_grid(t), Tiling::block, 0, context.stream>>>(
          t, make_terms(width), input, partials, kept);
      check_launch();
    }
    finish_sums_kernel<<<blocks_for(2 * s.c, finish_columns), dim3(finish_columns, finish_lanes), 0,
                         context.stream>>>(t, s.groups(), s.c, partials, context.data<double>(to.sums),
                                           context.data<float>(to.totals_first),
                                           context.data<float>(to.totals_second));
    check_launch();
  });
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormStatistics& call) {
  return partials_bytes(call.shape, call.x.dtype);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormReduce& call) {
  return partials_bytes(call.shape, call.x.dtype);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormActivationReduce& call) {
  return partials_bytes(call.plain.shape, call.plain.x.dtype);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const ActivationBatchNormReduce& call) {
  return partials_bytes(call.plain.shape, call.plain.x.dtype);
}

void launch(const CudaContext& context, const BatchNormStatistics& call) {
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto* x = context.data<const T>(call.x);
    launch_sums(context, call.shape, pack_width<T>(call.shape.c, x), {call.sums, {}, {}},
                RowInputs<T, 1>{{x}}, [&](auto width) { return Moments<decltype(width)::value>{}; });
  });
}

void launch(const CudaContext& context, const BatchNormMoments& call) {
  moments_kernel<<<blocks_for(call.shape.c), block_size, 0, context.stream>>>(
      call.shape, context.data<const double>(call.sums), moments_output(context, call));
  check_launch();
}

void launch(const CudaContext& context, const BatchNormRunning& call) {
  if (call.running.count == 0) return;
  running_kernel<<<blocks_for(call.running.count), block_size, 0, context.stream>>>(
      call.running.count, context.data<const float>(call.batch), context.data<float>(call.running),
      context.data<const float>(call.momentum), context.data<const float>(call.loss_scale));
  check_launch();
}

void launch(const CudaContext& context, const BatchNormReduce& call) {
  const auto *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std);
  with_storage(call.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(call.x), *dy = context.data<const T>(call.dy);
    launch_sums(context, call.shape, pack_width<T>(call.shape.c, x, dy, mean, inv_std),
                {call.sums, call.dbeta, call.dgamma}, RowInputs<T, 2>{{dy, x}}, [&](auto width) {
                  constexpr int v = decltype(width)::value;
                  return Gradients<v, Open<v>>{mean, inv_std, {}};
                });
  });
}

void launch(const CudaContext& context, const BatchNormActivationReduce& call) {
  const BatchNormReduce& plain = call.plain;
  const auto *mean = context.data<const float>(plain.mean),
             *inv_std = context.data<const float>(plain.inv_std),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  with_storage(plain.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(plain.x), *dy = context.data<const T>(plain.dy);
    launch_sums(context, plain.shape, pack_width<T>(plain.shape.c, x, dy, mean, inv_std, gamma, beta),
                {plain.sums, plain.dbeta, plain.dgamma}, RowInputs<T, 2>{{dy, x}}, [&](auto width) {
                  constexpr int v = decltype(width)::value;
                  return Gradients<v, Recomputed<T, v>>{mean, inv_std, {call.activation, {gamma, beta}}};
                });
  });
}

void launch(const CudaContext& context, const ActivationBatchNormReduce& call) {
  const BatchNormReduce& plain = call.plain;
  const auto *mean = context.data<const float>(plain.mean),
             *inv_std = context.data<const float>(plain.inv_std);
  with_storage(plain.x.dtype, [&]<class T>(T) {
    const auto *x = context.data<const T>(plain.x), *dy = context.data<const T>(call.dy),
               *y = context.data<const T>(call.y), *term = context.data<const T>(call.term);  // term or null
    auto* masked = context.data<T>(plain.dy);
    const int widest = pack_width<T>(plain.shape.c, x, dy, y, term, masked, mean, inv_std);
    const auto launch_with = [&]<int N>(const RowInputs<T, N>& input) {
      const auto make_terms = [&](auto width) {
        constexpr int v = decltype(width)::value;
        return Gradients<v, FromOutput<v, N>>{mean, inv_std, {call.activation}};
      };
      launch_sums<true>(context, plain.shape, widest, {plain.sums, plain.dbeta, plain.dgamma}, input,
                        make_terms, masked);
    };
    if (term == nullptr) return launch_with(RowInputs<T, 3>{{dy, x, y}});
    launch_with(RowInputs<T, 4>{{dy, x, y, term}});
  });
}

}  // namespace convoy
