// The moments of a block's results for the batch normalisation that follows a convolution. They are computed
// from the rounded rows that are staged in shared memory (staged_rows.cuh).
#pragma once

#include "kernels/conv/epilogue.h"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda_device.cuh"

namespace convoy::mma {

constexpr int moment_lanes = 8;

/// Sums over eight neighbouring lanes, of which lane i gets that of values[i]; the same tree for each.
__device__ __forceinline__ float sum_across(float (&values)[moment_lanes], int lane) {
#pragma unroll
  for (int half = moment_lanes / 2; half > 0; half /= 2) {
    const bool upper = (lane & half) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float kept = upper ? values[i + half] : values[i], sent = upper ? values[i] : values[i + half];
      values[i] = kept + __shfl_xor_sync(~0u, sent, half);
    }
  }
  return values[0];
}

/// Eight lanes take eight columns of 64 rows, lane i rows i, i + 8, ... of those there are: an order that no
/// tile changes.
template <class T, class Output>
__device__ __forceinline__ void write_moments(const Output& output, int m_begin, int n_begin) {
  using Stored = typename T::Stored;
  constexpr int row_chunks = T::BN / moment_lanes, units = T::BM / moment_pixels * row_chunks;
  constexpr int units_at_once = T::threads / moment_lanes;
  // A warp's units are all there, or none is.
  static_assert(sizeof(Stored) == 2 && T::BM % moment_pixels == 0 && T::threads % warp_size == 0 &&
                units % (warp_size / moment_lanes) == 0);
  const int lane = static_cast<int>(threadIdx.x) % moment_lanes;
  for (int unit = static_cast<int>(threadIdx.x) / moment_lanes; unit < units; unit += units_at_once) {
    const int first_row = unit / row_chunks * moment_pixels, chunk = unit % row_chunks;
    const int m = m_begin + first_row, n = n_begin + chunk * moment_lanes;
    const int count = n < output.columns ? min(output.rows - m, moment_pixels) : 0;
    const std::byte* staged = dynamic_shared() + first_row * T::staged_row_bytes + chunk * chunk_bytes;
    float sums[moment_lanes] = {}, squares[moment_lanes] = {};
    constexpr int batch = 4;  // loads under way together
#pragma unroll 1
    for (int first = lane; first < moment_pixels; first += batch * moment_lanes) {
      StoredPack<Stored, moment_lanes> rows[batch];
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const std::byte* row = staged + (first + i * moment_lanes) * T::staged_row_bytes;
        rows[i] = load_stored<moment_lanes>(reinterpret_cast<const Stored*>(row), 0);
      }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        if (first + i * moment_lanes >= count) break;
#pragma unroll
        for (int c = 0; c < moment_lanes; ++c) {
          const float value = rows[i].value(c);
          sums[c] += value;
          squares[c] = fmaf(value, value, squares[c]);
        }
      }
    }
    const float sum = sum_across(sums, lane), square = sum_across(squares, lane);
    if (count <= 0) continue;
    float* to = output.epilogue.moments + std::int64_t{m / moment_pixels} * 2 * output.columns + n + lane;
    to[0] = sum;
    to[output.columns] = square;
  }
}

}  // namespace convoy::mma
