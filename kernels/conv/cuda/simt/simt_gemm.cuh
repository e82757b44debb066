// out (M,N) = A (M,K) * B (K,N) in fp32 FFMA, where operands are functions from indices to addresses
// (index/gather.h).
//
// A block computes a Tile of M × N, a warp 4·TM × 8·TN of it, a thread TM × TN as quads of 4 × 4, each sum in
// the order of K: the tile chosen never changes a bit. Global loads of one K step are in flight (in
// registers) while the one before is multiplied out of shared memory, which is double-buffered: one barrier
// per step. Limited by FFMA issue.
//
// An operand has
//   contiguous_k              whether neighbours in memory follow K (else M or N)
//   RowState row_state(mn)    what is fixed for a row of A or a column of B
//   Cursor cursor(k)          a place along K
//   advance(cursor, steps)    moves it; true when inside() may have changed, for any row
//   inside(row, cursor)       whether the matrix is zero or ends there; if not
//   address(row, cursor)      is where the element is
#pragma once

#include "kernels/conv/cuda/index/gather.h"
#include "kernels/cuda_device.cuh"

namespace convoy {

template <int BM_, int BN_, int BK_, int TM_, int TN_, int BlocksPerSm_>
struct Tile {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_, blocks_per_sm = BlocksPerSm_;
  static constexpr int dynamic_shared_bytes = 0;
  static constexpr bool masked_gather = false;  ///< any kernel size
  static constexpr int warps_m = BM / (4 * TM), warps_n = BN / (8 * TN), threads = 32 * warps_m * warps_n;
  static_assert(warps_m * 4 * TM == BM && warps_n * 8 * TN == BN && TM % 4 == 0 && TN % 4 == 0);
};

template <int Vec, class T>
__device__ __forceinline__ void load_or_zero(bool inside, const T* address, float (&values)[Vec]) {
  if constexpr (Vec == 4) {
    static_assert(std::is_same_v<T, float>, "16-bit operands in fours go to tensor cores");
    const float4 v = inside ? __ldg(reinterpret_cast<const float4*>(address)) : make_float4(0, 0, 0, 0);
    values[0] = v.x, values[1] = v.y, values[2] = v.z, values[3] = v.w;
  } else {
    values[0] = inside ? to_float(*address) : 0.0f;
  }
}

/// Brings (BK, Extent) pieces of an operand into shared memory. A thread keeps one place along K and `items`
/// along the other axis, so that it decodes indices once.
template <class Operand, int Vec, int Extent, int BK, int Threads>
class TileLoader {
 public:
  /// Four floats of padding keep rows 16-byte aligned and put the transposing stores of a warp into distinct
  /// banks.
  static constexpr int row_length = Extent + 4;
  using Buffer = float[BK][row_length];

  __device__ __forceinline__ TileLoader(const Operand& operand, int mn_begin, int k_begin)
      : operand_(operand) {
    const int tid = static_cast<int>(threadIdx.x);
    if constexpr (Operand::contiguous_k) {
      // Pairs of lanes read 32 bytes of a row when Vec is 4, eight lanes when it is 1: whole sectors.
      constexpr int lanes_k = Vec == 4 ? 2 : 8;
      k_ = (tid / (lanes_k * stride) * lanes_k + tid % lanes_k) * Vec;
      mn_ = tid / lanes_k % stride;
    } else {
      k_ = tid / lanes;
      mn_ = tid % lanes * Vec;
    }
    cursor_ = operand.cursor(k_begin + k_);
#pragma unroll
    for (int i = 0; i < items; ++i) row_[i] = operand.row_state(mn_begin + mn_ + i * stride);
    look();
  }
  __device__ __forceinline__ void fetch() {
#pragma unroll
    for (int i = 0; i < items; ++i) {
      load_or_zero<Vec>(inside_[i], operand_.address(row_[i], cursor_), values_[i]);
    }
    if (operand_.advance(cursor_, BK)) look();
  }
  __device__ __forceinline__ void store(Buffer& to) const {
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const int mn = mn_ + i * stride;
      if constexpr (Operand::contiguous_k) {
#pragma unroll
        for (int j = 0; j < Vec; ++j) to[k_ + j][mn] = values_[i][j];
      } else if constexpr (Vec == 4) {
        *reinterpret_cast<float4*>(&to[k_][mn]) =
            make_float4(values_[i][0], values_[i][1], values_[i][2], values_[i][3]);
      } else {
        to[k_][mn] = values_[i][0];
      }
    }
  }

 private:
  __device__ __forceinline__ void look() {
#pragma unroll
    for (int i = 0; i < items; ++i) inside_[i] = operand_.inside(row_[i], cursor_);
  }

  static constexpr int lanes =
      Threads / BK;  ///< threads along M or N per row of K, when that axis is contiguous
  static constexpr int stride = Operand::contiguous_k ? Threads / (BK / Vec) : lanes * Vec;
  static constexpr int items = Extent / stride;
  static_assert(items * stride == Extent && Threads % BK == 0);

  const Operand& operand_;
  int k_, mn_;
  typename Operand::Cursor cursor_;
  typename Operand::RowState row_[items];
  bool inside_[items];
  float values_[items][Vec];
};

/// `Quads` runs of four neighbours, `Spacing` apart.
template <int Quads, int Spacing>
__device__ __forceinline__ void load_fragment(const float* from, float (&to)[4 * Quads]) {
#pragma unroll
  for (int q = 0; q < Quads; ++q) {
    const float4 v = *reinterpret_cast<const float4*>(from + q * Spacing);
    to[4 * q] = v.x, to[4 * q + 1] = v.y, to[4 * q + 2] = v.z, to[4 * q + 3] = v.w;
  }
}

/// One block's tile at (m_begin, n_begin) over [k_begin, k_end). `output.row(m)` is where row m of out
/// begins, or null; `output.value(sum, n)` is what goes there. Vec = 4 needs every contiguous extent to be a
/// multiple of four and 16-byte aligned.
template <class T, int Vec, class A, class B, class Output>
__device__ __forceinline__ void implicit_gemm(const A& a, const B& b, const Output& output, int m_begin,
                                              int n_begin, int k_begin, int k_end, int n_end) {
  using LoaderA = TileLoader<A, Vec, T::BM, T::BK, T::threads>;
  using LoaderB = TileLoader<B, Vec, T::BN, T::BK, T::threads>;
  __shared__ __align__(16) typename LoaderA::Buffer shared_a[2];
  __shared__ __align__(16) typename LoaderB::Buffer shared_b[2];

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int thread_m = warp / T::warps_n * (4 * T::TM) + lane / 8 * 4;
  const int thread_n = warp % T::warps_n * (8 * T::TN) + lane % 8 * 4;
  float sums[T::TM][T::TN] = {};

  if (k_begin < k_end) {
    LoaderA load_a(a, m_begin, k_begin);
    LoaderB load_b(b, n_begin, k_begin);
    load_a.fetch();
    load_b.fetch();
    load_a.store(shared_a[0]);
    load_b.store(shared_b[0]);
    __syncthreads();
    int now = 0;
    for (int k = k_begin; k < k_end; k += T::BK) {
      const bool more = k + T::BK < k_end;
      if (more) {
        load_a.fetch();
        load_b.fetch();
      }
#pragma unroll
      for (int step = 0; step < T::BK; ++step) {
        float fragment_a[T::TM], fragment_b[T::TN];
        load_fragment<T::TM / 4, 16>(&shared_a[now][step][thread_m], fragment_a);
        load_fragment<T::TN / 4, 32>(&shared_b[now][step][thread_n], fragment_b);
#pragma unroll
        for (int i = 0; i < T::TM; ++i) {
#pragma unroll
          for (int j = 0; j < T::TN; ++j) sums[i][j] = fmaf(fragment_a[i], fragment_b[j], sums[i][j]);
        }
      }
      if (more) {
        now ^= 1;
        load_a.store(shared_a[now]);
        load_b.store(shared_b[now]);
        __syncthreads();
      }
    }
  }

#pragma unroll
  for (int i = 0; i < T::TM; ++i) {
    auto* row = output.row(m_begin + thread_m + i / 4 * 16 + i % 4);
    if (row == nullptr) continue;
#pragma unroll
    for (int j = 0; j < T::TN; j += 4) {
      const int n = n_begin + thread_n + j / 4 * 32;
      if constexpr (Vec == 4) {
        if (n < n_end) {
          *reinterpret_cast<float4*>(row + n) =
              make_float4(output.value(sums[i][j], n), output.value(sums[i][j + 1], n + 1),
                          output.value(sums[i][j + 2], n + 2), output.value(sums[i][j + 3], n + 3));
        }
      } else {
#pragma unroll
        for (int l = 0; l < 4; ++l) {
          if (n + l < n_end) {
            row[n + l] = from_float<typename Output::Stored>(output.value(sums[i][j + l], n + l));
          }
        }
      }
    }
  }
}

}  // namespace convoy
