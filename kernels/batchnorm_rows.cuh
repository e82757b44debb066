// What the CUDA kernels of batch normalisation share: the walk over x (N,D,H,W,C), read as rows (N·D·H·W) of
// C channels, and the formulas of more than one file. All kernels but the two small ones cut the rows of a
// group into slices, one block each (batchnorm_tiling.h); a thread keeps its channels' constants in registers
// and walks down the rows, four at a time. x and all that has its shape is stored as T. Bytes limit them.
#pragma once

#include "kernels/batchnorm.h"
#include "kernels/batchnorm_tiling.h"
#include "kernels/cuda_device.cuh"
#include "kernels/rectifier.h"

namespace convoy {

/// What the thread works on, or nothing.
struct BatchNormPlace {
  std::int64_t row, end;
  int group, pack;  // group counted over the global batch
  bool idle;
};
__device__ inline BatchNormPlace place_of(const BatchNormTiling& t) {
  const int lane = static_cast<int>(threadIdx.x) % t.lanes;
  const auto rows = t.rows_of(static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x));
  const int pack = static_cast<int>(blockIdx.z) * t.lanes + lane;
  return {rows.begin + threadIdx.x / t.lanes, rows.end, t.first_group + static_cast<int>(blockIdx.y), pack,
          pack >= t.packs};
}

/// Tensors (rows,C) that a kernel reads side by side.
template <class T, int N>
struct RowInputs {
  const T* at[N];
};

/// Loads rows first, first + t.rows, ... (up to rows_at_once of them, together) of the thread's channels and
/// calls visit(row, c, values) with one value per input for each channel c of the pack.
template <int V, class T, int Inputs, class Visit>
__device__ void visit_rows(const BatchNormTiling& t, const BatchNormPlace& p, std::int64_t first,
                           const RowInputs<T, Inputs>& input, Visit visit) {
  Pack<V> in[Inputs][BatchNormTiling::rows_at_once];
#pragma unroll
  for (int r = 0; r < BatchNormTiling::rows_at_once; ++r) {
    const std::int64_t row = first + std::int64_t{r} * t.rows;
#pragma unroll
    for (int k = 0; k < Inputs; ++k) {
      if (row < p.end) in[k][r] = load<V>(input.at[k], row * t.packs + p.pack);
    }
  }
#pragma unroll
  for (int r = 0; r < BatchNormTiling::rows_at_once; ++r) {
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

/// (x - mean) · scale + beta. Spelled as an FMA, so that every kernel that needs it gets the same bits.
template <int V>
struct NormalizeConstants {
  Pack<V> mean, scale, beta;
  __device__ float value(int c, float x) const { return fmaf(x - mean.v[c], scale.v[c], beta.v[c]); }
};

/// From the moments of the channels.
struct Affine {
  const float *gamma, *beta;  // (C)
  template <int V>
  __device__ NormalizeConstants<V> constants(const Pack<V>& mean, const Pack<V>& inv_std,
                                             std::int64_t pack) const {
    NormalizeConstants<V> k{mean, inv_std, load<V>(beta, pack)};
    const Pack<V> g = load<V>(gamma, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) k.scale.v[c] *= g.v[c];
    return k;
  }
};

// Where the gradient by y comes from: gate(constants, c, in) with in = {dy, x, ...}; the constants follow
// from the moments of the channels, which the kernel needs itself.

/// dy as it is.
template <int V>
struct Open {
  static constexpr int inputs = 2;
  struct Constants {};
  __device__ Constants constants(const Pack<V>&, const Pack<V>&, std::int64_t) const { return {}; }
  __device__ float operator()(const Constants&, int, const float (&in)[inputs]) const { return in[0]; }
};
/// dy f'(y), with y = f of the normalised x computed anew, and rounded as forward stored it: what became zero
/// there is zero here.
template <class T, int V>
struct Recomputed {
  static constexpr int inputs = 2;
  Rectifier activation;
  Affine affine;
  using Constants = NormalizeConstants<V>;
  __device__ Constants constants(const Pack<V>& mean, const Pack<V>& inv_std, std::int64_t pack) const {
    return affine.constants<V>(mean, inv_std, pack);
  }
  __device__ float operator()(const Constants& k, int c, const float (&in)[inputs]) const {
    const T y = from_float<T>(activation.f(k.value(c, in[1])));
    return activation.gradient(to_float(y), in[0]);
  }
};
/// dy f'(y), with y as the third input and, where there is a fourth, a term to add to dy first.
template <int V, int Inputs>
struct FromOutput {
  static constexpr int inputs = Inputs;
  Rectifier activation;
  struct Constants {};
  __device__ Constants constants(const Pack<V>&, const Pack<V>&, std::int64_t) const { return {}; }
  __device__ float operator()(const Constants&, int, const float (&in)[inputs]) const {
    float dy = in[0];
    if constexpr (Inputs == 4) dy += in[3];
    return activation.gradient(in[2], dy);
  }
};

inline dim3 batchnorm_grid(const BatchNormTiling& t) {
  check(t.groups <= 65535 && t.pack_tiles <= 65535, "more groups or channels than a CUDA grid holds");
  return dim3(static_cast<unsigned>(t.slices), static_cast<unsigned>(t.groups),
              static_cast<unsigned>(t.pack_tiles));
}

}  // namespace convoy
