// Batch normalisation of x (N,D,H,W,C), read as rows (N·D·H·W) of C channels. All kernels but the two small
// ones cut the rows of a group into slices, one block each (batchnorm_tiling.h); a thread keeps its channels'
// constants in registers and walks down the rows, four at a time. Bytes limit them.
//
// Sums over rows: each thread adds short runs in float, runs in double; a block adds its threads in order and
// leaves (2,C) doubles in the workspace; a second kernel adds the blocks in order. The order follows from the
// shape alone.
#include <algorithm>

#include "kernels/batchnorm.h"
#include "kernels/batchnorm_tiling.h"
#include "kernels/cuda_device.cuh"

namespace convoy {
namespace {

using Tiling = BatchNormTiling;
constexpr int run_length =
    4;  // steps of rows_at_once rows that are added in float before they meet the double sum

/// What the thread works on, or nothing.
struct Place {
  std::int64_t row, end;
  int group, pack;  // group counted over the global batch
  bool idle;
};
__device__ Place place_of(const Tiling& t) {
  const int lane = static_cast<int>(threadIdx.x) % t.lanes;
  const auto rows = t.rows_of(static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x));
  const int pack = static_cast<int>(blockIdx.z) * t.lanes + lane;
  return {rows.begin + threadIdx.x / t.lanes, rows.end, t.first_group + static_cast<int>(blockIdx.y), pack,
          pack >= t.packs};
}

/// Loads rows first, first + t.rows, ... (up to rows_at_once of them, together) of the thread's channels and
/// calls visit(row, c, values) with one value per input for each channel c of the pack.
template <int V, int Inputs, class Visit>
__device__ void visit_rows(const Tiling& t, const Place& p, std::int64_t first,
                           const float* const (&input)[Inputs], Visit visit) {
  Pack<V> in[Inputs][Tiling::rows_at_once];
#pragma unroll
  for (int r = 0; r < Tiling::rows_at_once; ++r) {
    const std::int64_t row = first + std::int64_t{r} * t.rows;
#pragma unroll
    for (int k = 0; k < Inputs; ++k) {
      if (row < p.end) in[k][r] = load<V>(input[k], row * t.packs + p.pack);
    }
  }
#pragma unroll
  for (int r = 0; r < Tiling::rows_at_once; ++r) {
    const std::int64_t row = first + std::int64_t{r} * t.rows;
    if (row >= p.end) break;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      float values[Inputs];
#pragma unroll
      for (int k = 0; k < Inputs; ++k) values[k] = in[k][r].v[c];
      visit(row, c, values);
    }
  }
}

// ---- sums over rows

/// x and x².
template <int V>
struct Moments {
  static constexpr int inputs = 1;
  const float* input[inputs];
  struct Constants {};
  __device__ Constants constants(std::int64_t, std::int64_t) const { return {}; }
  __device__ static void terms(const Constants&, int, const float (&in)[inputs], float& a, float& b) {
    a = in[0];
    b = in[0] * in[0];
  }
};

/// dy and dy·x̂; inputs dy, x.
template <int V>
struct Gradients {
  static constexpr int inputs = 2;
  const float* input[inputs];
  const float *mean, *inv_std;  // (groups,C)
  struct Constants {
    Pack<V> mean, inv_std;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t) const {
    return {load<V>(mean, group_pack), load<V>(inv_std, group_pack)};
  }
  __device__ static void terms(const Constants& k, int c, const float (&in)[inputs], float& a, float& b) {
    a = in[0];
    b = in[0] * ((in[1] - k.mean.v[c]) * k.inv_std.v[c]);
  }
};

// Grid: x = slice, y = group, z = tile of channels. partials (groups of this rank, slices, 2, C).
template <int V, class Terms>
__global__ void __launch_bounds__(Tiling::block)
    partial_sums_kernel(Tiling t, Terms terms, double* __restrict__ partials) {
  __shared__ double shared[2 * V][Tiling::block];
  Place p = place_of(t);
  double sums[2][V] = {};
  if (!p.idle) {
    const auto constants = terms.constants(std::int64_t{p.group} * t.packs + p.pack, p.pack);
    while (p.row < p.end) {
      float run[2][V] = {};
      for (int step = 0; step < run_length && p.row < p.end; ++step) {
        visit_rows<V>(t, p, p.row, terms.input, [&](std::int64_t, int c, const auto& values) {
          float a, b;
          Terms::terms(constants, c, values, a, b);
          run[0][c] += a;
          run[1][c] += b;
        });
        p.row += std::int64_t{Tiling::rows_at_once} * t.rows;
      }
#pragma unroll
      for (int c = 0; c < V; ++c) {
        sums[0][c] += static_cast<double>(run[0][c]);
        sums[1][c] += static_cast<double>(run[1][c]);
      }
    }
  }
#pragma unroll
  for (int c = 0; c < V; ++c) {
    shared[c][threadIdx.x] = sums[0][c];
    shared[V + c][threadIdx.x] = sums[1][c];
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

constexpr int finish_columns = 32, finish_lanes = 16;

/// sums (all groups, 2, C) = the slices' partials added in order, zero for groups without images here; with
/// `totals`, (C) each: their sums over the groups. Columns are (2,C); lane l takes slices l, l + 16, ...
__global__ void __launch_bounds__(finish_columns* finish_lanes)
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
#pragma unroll 8
        for (int slice = lane; slice < t.slices; slice += finish_lanes)
          sum += own[std::int64_t{slice} * columns];
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

// ---- moments

/// One thread per channel.
__global__ void __launch_bounds__(block_size)
    moments_kernel(BatchNormShape s, float momentum, const double* __restrict__ sums,
                   float* __restrict__ mean, float* __restrict__ inv_std, float* __restrict__ running_mean,
                   float* __restrict__ running_var) {
  const int c = static_cast<int>(blockIdx.x * block_size + threadIdx.x);
  if (c >= s.c) return;
  const int groups = (s.global_n + s.group - 1) / s.group;
  double mean_of_means = 0.0, mean_of_variances = 0.0;
  for (int g = 0; g < groups; ++g) {
    const int images = min(s.group, s.global_n - g * s.group);
    const auto m = static_cast<double>(images * s.pixels);
    const double average = sums[(std::int64_t{2} * g) * s.c + c] / m;
    const double variance = fmax(0.0, sums[(std::int64_t{2} * g + 1) * s.c + c] / m - average * average);
    mean[std::int64_t{g} * s.c + c] = static_cast<float>(average);
    inv_std[std::int64_t{g} * s.c + c] =
        static_cast<float>(1.0 / sqrt(variance + static_cast<double>(s.epsilon)));
    mean_of_means += average;
    mean_of_variances +=
        variance * (m / fmax(m - 1.0, 1.0));  // one value alone counts with its biased variance, zero
  }
  const double weight = static_cast<double>(momentum) / groups, rest = 1.0 - static_cast<double>(momentum);
  running_mean[c] = static_cast<float>(rest * running_mean[c] + weight * mean_of_means);
  running_var[c] = static_cast<float>(rest * running_var[c] + weight * mean_of_variances);
}

// ---- elementwise passes

/// y = (x - mean) · scale + beta, from saved moments (groups,C).
template <int V>
struct Normalize {
  static constexpr int inputs = 1;
  const float* input[inputs];
  const float *mean, *inv_std;  // (groups,C)
  const float *gamma, *beta;    // (C)
  struct Constants {
    Pack<V> mean, scale, beta;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    Constants k{load<V>(mean, group_pack), load<V>(inv_std, group_pack), load<V>(beta, pack)};
    const Pack<V> g = load<V>(gamma, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) k.scale.v[c] *= g.v[c];
    return k;
  }
  __device__ static float value(const Constants& k, int c, const float (&in)[inputs]) {
    return (in[0] - k.mean.v[c]) * k.scale.v[c] + k.beta.v[c];
  }
};

/// The same from running averages (C).
template <int V>
struct NormalizeRunning {
  static constexpr int inputs = 1;
  const float* input[inputs];
  const float *mean, *var, *gamma, *beta;  // (C)
  float epsilon;
  using Constants = typename Normalize<V>::Constants;
  __device__ Constants constants(std::int64_t, std::int64_t pack) const {
    Constants k{load<V>(mean, pack), load<V>(var, pack), load<V>(beta, pack)};
    const Pack<V> g = load<V>(gamma, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) k.scale.v[c] = g.v[c] / sqrtf(k.scale.v[c] + epsilon);
    return k;
  }
  __device__ static float value(const Constants& k, int c, const float (&in)[inputs]) {
    return Normalize<V>::value(k, c, in);
  }
};

/// dx = scale (dy - mean(dy) - x̂ mean(dy x̂)); inputs dy, x.
template <int V>
struct Backward {
  static constexpr int inputs = 2;
  const float* input[inputs];
  const float *mean, *inv_std, *gamma;
  const double* sums;  // (groups,2,C)
  int packs, group, global_n;
  std::int64_t pixels;
  struct Constants {
    Pack<V> mean, inv_std, scale, mean_dy, mean_dy_x_hat;
  };
  __device__ Constants constants(std::int64_t group_pack, std::int64_t pack) const {
    Constants k{load<V>(mean, group_pack), load<V>(inv_std, group_pack), load<V>(gamma, pack), {}, {}};
    const auto g = static_cast<int>((group_pack - pack) / packs);
    const double inv_m = 1.0 / static_cast<double>(min(group, global_n - g * group) * pixels);
    const double* own = sums + ((group_pack - pack) * 2 + pack) * V;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      k.scale.v[c] *= k.inv_std.v[c];
      k.mean_dy.v[c] = static_cast<float>(own[c] * inv_m);
      k.mean_dy_x_hat.v[c] = static_cast<float>(own[packs * V + c] * inv_m);
    }
    return k;
  }
  __device__ static float value(const Constants& k, int c, const float (&in)[inputs]) {
    const float x_hat = (in[1] - k.mean.v[c]) * k.inv_std.v[c];
    return k.scale.v[c] * (in[0] - k.mean_dy.v[c] - x_hat * k.mean_dy_x_hat.v[c]);
  }
};

// Grid as for the partial sums.
template <int V, class Pass>
__global__ void __launch_bounds__(Tiling::block) rows_kernel(Tiling t, Pass pass, float* __restrict__ out) {
  const Place p = place_of(t);
  if (p.idle || p.row >= p.end) return;
  const auto constants = pass.constants(std::int64_t{p.group} * t.packs + p.pack, p.pack);
  for (std::int64_t first = p.row; first < p.end; first += std::int64_t{Tiling::rows_at_once} * t.rows) {
    Pack<V> result;
    visit_rows<V>(t, p, first, pass.input, [&](std::int64_t row, int c, const auto& values) {
      result.v[c] = Pass::value(constants, c, values);
      if (c == V - 1) store<V>(out, row * t.packs + p.pack, result);
    });
  }
}

// ---- launches

dim3 grid_of(const Tiling& t) {
  check(t.groups <= 65535 && t.pack_tiles <= 65535, "more groups or channels than a CUDA grid holds");
  return dim3(static_cast<unsigned>(t.slices), static_cast<unsigned>(t.groups),
              static_cast<unsigned>(t.pack_tiles));
}

/// The larger of what the two pack widths need: the plan sizes the workspace before addresses are known.
std::int64_t partials_bytes(const BatchNormShape& s) {
  if (s.n == 0) return 0;
  std::int64_t bytes = 0;
  for (const int width : {1, 4}) {
    if (s.c % width != 0) continue;
    const Tiling t = batchnorm_tiling(s, width);
    bytes = std::max(bytes, std::int64_t{t.groups} * t.slices * 2 * s.c * std::int64_t{sizeof(double)});
  }
  return bytes;
}

/// sums, and totals over groups where asked for, of `terms(width)`'s two terms.
template <class MakeTerms>
void launch_sums(const CudaContext& context, const BatchNormShape& s, bool fours, double* sums,
                 float* totals_first, float* totals_second, MakeTerms make_terms) {
  if (s.groups() == 0 && totals_first == nullptr) return;
  auto* partials = context.arenas.workspace<double>(partials_bytes(s));
  with_pack_width(fours, [&](auto width) {
    constexpr int v = decltype(width)::value;
    Tiling t;  // without images: no groups, and the second kernel writes zeros
    if (s.n > 0) {
      t = batchnorm_tiling(s, v);
      partial_sums_kernel<v>
          <<<grid_of(t), Tiling::block, 0, context.stream>>>(t, make_terms(width), partials);
      check_launch();
    }
    finish_sums_kernel<<<blocks_for(2 * s.c, finish_columns), dim3(finish_columns, finish_lanes), 0,
                         context.stream>>>(t, s.groups(), s.c, partials, sums, totals_first, totals_second);
    check_launch();
  });
}

template <class MakePass>
void launch_rows(const CudaContext& context, const BatchNormShape& s, bool fours, bool one_group, float* out,
                 MakePass make_pass) {
  if (s.n == 0) return;
  with_pack_width(fours, [&](auto width) {
    constexpr int v = decltype(width)::value;
    const Tiling t = batchnorm_tiling(s, v, one_group);
    rows_kernel<v><<<grid_of(t), Tiling::block, 0, context.stream>>>(t, make_pass(width), out);
  });
  check_launch();
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormStatistics& call) {
  return partials_bytes(call.shape);
}
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormReduce& call) {
  return partials_bytes(call.shape);
}

void launch(const CudaContext& context, const BatchNormStatistics& call) {
  const auto* x = context.data<const float>(call.x);
  launch_sums(context, call.shape, in_fours(call.shape.c, x), context.data<double>(call.sums), nullptr,
              nullptr, [&](auto width) { return Moments<decltype(width)::value>{{x}}; });
}

void launch(const CudaContext& context, const BatchNormMoments& call) {
  if (call.shape.groups() == 0) return;
  moments_kernel<<<blocks_for(call.shape.c), block_size, 0, context.stream>>>(
      call.shape, call.momentum, context.data<const double>(call.sums), context.data<float>(call.mean),
      context.data<float>(call.inv_std), context.data<float>(call.running_mean),
      context.data<float>(call.running_var));
  check_launch();
}

void launch(const CudaContext& context, const BatchNormForward& call) {
  const auto *x = context.data<const float>(call.x), *mean = context.data<const float>(call.mean),
             *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  auto* y = context.data<float>(call.y);
  launch_rows(context, call.shape, in_fours(call.shape.c, x, mean, inv_std, gamma, beta, y), false, y,
              [&](auto width) {
                return Normalize<decltype(width)::value>{{x}, mean, inv_std, gamma, beta};
              });
}

void launch(const CudaContext& context, const BatchNormInference& call) {
  const auto *x = context.data<const float>(call.x), *mean = context.data<const float>(call.running_mean),
             *var = context.data<const float>(call.running_var),
             *gamma = context.data<const float>(call.gamma), *beta = context.data<const float>(call.beta);
  auto* y = context.data<float>(call.y);
  launch_rows(
      context, call.shape, in_fours(call.shape.c, x, mean, var, gamma, beta, y), true, y, [&](auto width) {
        return NormalizeRunning<decltype(width)::value>{{x}, mean, var, gamma, beta, call.shape.epsilon};
      });
}

void launch(const CudaContext& context, const BatchNormReduce& call) {
  const auto *x = context.data<const float>(call.x), *dy = context.data<const float>(call.dy),
             *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std);
  launch_sums(context, call.shape, in_fours(call.shape.c, x, dy, mean, inv_std),
              context.data<double>(call.sums), context.data<float>(call.dbeta),
              context.data<float>(call.dgamma), [&](auto width) {
                return Gradients<decltype(width)::value>{{dy, x}, mean, inv_std};
              });
}

void launch(const CudaContext& context, const BatchNormBackward& call) {
  const BatchNormShape& s = call.shape;
  const auto *x = context.data<const float>(call.x), *dy = context.data<const float>(call.dy),
             *mean = context.data<const float>(call.mean), *inv_std = context.data<const float>(call.inv_std),
             *gamma = context.data<const float>(call.gamma);
  const auto* sums = context.data<const double>(call.sums);
  auto* dx = context.data<float>(call.dx);
  launch_rows(context, s, in_fours(s.c, x, dy, mean, inv_std, gamma, dx), false, dx, [&](auto width) {
    constexpr int v = decltype(width)::value;
    return Backward<v>{{dy, x}, mean, inv_std, gamma, sums, s.c / v, s.group, s.global_n, s.pixels};
  });
}

}  // namespace convoy
