// What the CUDA kernels of batch normalisation share: the walk over x (N,D,H,W,C), read as rows (N·D·H·W) of
// C channels, and the formulas of more than one file. All kernels but the two small ones cut the rows of a
// group into slices, one block each (batchnorm_tiling.h); a thread keeps its channels' constants in registers
// and walks down the rows, several at a time. x and all that has its shape is stored as T. Bytes limit them.
#pragma once

#include "kernels/batchnorm.h"
#include "kernels/batchnorm_tiling.h"
#include "kernels/cuda_device.cuh"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

/// The work of one thread; it may be none.
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

// What a kernel does with the rows is a struct `Work` with the number of its `inputs`, and of the
// `blocks_at_once` that a multiprocessor shall hold: 4 or 2, because 3 would leave many multiprocessors idle
// at the end of BatchNormTiling::target blocks.

/// Rows a thread has in flight. Packs of eight become eight floats with their constants, so there they are
/// just as many as make 64 KiB in flight per multiprocessor.
template <int V, class Work>
constexpr int rows_in_flight = V <= 4 ? 4 : 16 / (Work::inputs * Work::blocks_at_once);
/// Loads rows first, first + t.rows, ... (up to rows_in_flight of them, together) of the thread's channels
/// and calls visit(at, c, values) with one value per input for each channel c of the pack `at`.
template <int V, class Work, class T, class Visit>
__device__ void visit_rows(const BatchNormTiling& t, const BatchNormPlace& p, std::int64_t first,
                           const RowInputs<T, Work::inputs>& input, Visit visit) {
  constexpr int rows = rows_in_flight<V, Work>, inputs = Work::inputs;
  const std::int64_t first_pack = first * t.packs + p.pack;
  const int packs_apart = t.rows * t.packs, left = static_cast<int>(p.end - first);
  StoredPack<T, V> in[inputs][rows];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
#pragma unroll
    for (int k = 0; k < inputs; ++k) {
      if (r * t.rows < left) in[k][r] = load_stored<V>(input.at[k], first_pack + r * packs_apart);
    }
  }
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (r * t.rows >= left) break;
#pragma unroll
    for (int c = 0; c < V; ++c) {
      float values[inputs];
#pragma unroll
      for (int k = 0; k < inputs; ++k) values[k] = in[k][r].value(c);
      visit(first_pack + r * packs_apart, c, values);
    }
  }
}

/// Values stored in 16 bits are rounded so coarsely that a formula may be multiplied out, which needs fewer
/// constants and so fewer registers: (x - mean) · scale becomes x · scale - mean · scale. The extra rounding
/// is 2^13 (fp16) or 2^16 (bf16) times finer than that of x.
template <class T>
constexpr bool multiplied_out = sizeof(T) == 2;

/// (x - mean) · scale + beta, x stored as T. Spelled as an FMA, so that every kernel that needs it gets the
/// same bits.
template <class T, int V>
struct NormalizeConstants {
  Pack<V> mean, scale, beta;
  __device__ float value(int c, float x) const { return fmaf(x - mean.v[c], scale.v[c], beta.v[c]); }
};
template <class T, int V>
requires multiplied_out<T>
struct NormalizeConstants<T, V> {
  Pack<V> scale, shift;
  NormalizeConstants() = default;
  __device__ NormalizeConstants(const Pack<V>& mean, const Pack<V>& by, const Pack<V>& beta) : scale(by) {
#pragma unroll
    for (int c = 0; c < V; ++c) shift.v[c] = fmaf(-mean.v[c], by.v[c], beta.v[c]);
  }
  __device__ float value(int c, float x) const {
    return fmaf(x, scale.v[c], shift.v[c]);
  }
};

/// From the moments of the channels.
struct Affine {
  const float *gamma, *beta;  // (C)
  template <class T, int V>
  __device__ NormalizeConstants<T, V> constants(const Pack<V>& mean, const Pack<V>& inv_std,
                                                std::int64_t pack) const {
    Pack<V> scale = inv_std;
    const Pack<V> g = load<V>(gamma, pack);
#pragma unroll
    for (int c = 0; c < V; ++c) scale.v[c] *= g.v[c];
    return {mean, scale, load<V>(beta, pack)};
  }
};

/// The largest value that T rounds to zero, for values that are not negative.
template <class T>
constexpr float rounds_to_zero = 0.0f;
template <>
constexpr float rounds_to_zero<Half> = 0x1p-25f;
template <>
constexpr float rounds_to_zero<BFloat16> = 0x1p-134f;

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
/// dy f'(y), where y = f(normalised x) is computed again and rounded as forward stored it: a value that was
/// zero there is zero here.
template <class T, int V>
struct Recomputed {
  static constexpr int inputs = 2;
  LeakyReluEpilogue activation;
  Affine affine;
  using Constants = NormalizeConstants<T, V>;
  __device__ Constants constants(const Pack<V>& mean, const Pack<V>& inv_std, std::int64_t pack) const {
    return affine.constants<T, V>(mean, inv_std, pack);
  }
  __device__ float operator()(const Constants& k, int c, const float (&in)[inputs]) const {
    return activation.pass(k.value(c, in[1]) > rounds_to_zero<T>, in[0]);  // f keeps what is above zero
  }
};
/// dy f'(y), with y as the third input and, where there is a fourth, a term to add to dy first.
template <int V, int Inputs>
struct FromOutput {
  static constexpr int inputs = Inputs;
  LeakyReluEpilogue activation;
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
