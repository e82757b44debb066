// Writes results from registers to memory. A block first stages its rows in shared memory, so that threads
// write whole chunks.
#pragma once

#include <algorithm>

#include "kernels/conv/cuda/epilogue/row_moments.cuh"
#include "kernels/cuda/mma.cuh"

namespace convoy::mma {

template <class T, class Output>
__device__ __forceinline__ void copy_rows(const Output& output, int m_begin, int n_begin, int n_end) {
  using Stored = typename T::Stored;
  constexpr int per_chunk = chunk_bytes / static_cast<int>(sizeof(Stored));
  const std::byte* staged = dynamic_shared();
  constexpr int row_chunks = T::BN / per_chunk, rows_at_once = T::threads / row_chunks;
  static_assert(T::threads % row_chunks == 0 && T::BM % rows_at_once == 0);
  const int chunk = static_cast<int>(threadIdx.x) % row_chunks, n = n_begin + chunk * per_chunk;
  if (n >= n_end) return;
  constexpr int batch = std::min(4, T::BM / rows_at_once);  // loads under way together
  static_assert(T::BM % (batch * rows_at_once) == 0);
  for (int first = static_cast<int>(threadIdx.x) / row_chunks; first < T::BM; first += batch * rows_at_once) {
    uint4 values[batch];
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      const int m = first + i * rows_at_once;
      values[i] = *reinterpret_cast<const uint4*>(staged + m * T::staged_row_bytes + chunk * chunk_bytes);
    }
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      Stored* row = output.row(m_begin + first + i * rows_at_once);
      if (row != nullptr) *reinterpret_cast<uint4*>(row + n) = values[i];
    }
  }
}

/// Copies the rows that a block has staged in shared memory, `staged_row_bytes` apart, to the output in whole
/// chunks. Writes their moments as well if the epilogue has room for them.
template <class T, class Output>
__device__ __forceinline__ void write_rows(const Output& output, int m_begin, int n_begin, int n_end) {
  copy_rows<T>(output, m_begin, n_begin, n_end);
  if constexpr (requires { output.epilogue; }) {
    if (output.epilogue.moments != nullptr) write_moments<T>(output, m_begin, n_begin);
  }
}

}  // namespace convoy::mma
