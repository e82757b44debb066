// out (M,N) = A (M,K) * B (K,N) on tensor cores, for the same operands as implicit_gemm.cuh: functions from
// indices to addresses.
//
// A block computes BM × BN, a warp WM × WN of it in mma.sync, K steps of 32 elements copied to shared memory
// by cp.async, `stages` in flight. All tiles share the instruction and the order of K, so that the tile
// chosen never changes a bit. Limited by mma.sync issue; by L2 where M and N are small.
#pragma once

#include "kernels/implicit_gemm.cuh"
#include "kernels/mma.cuh"
#include "kernels/mma_layout.h"

namespace convoy {

template <class Element_, int BM_, int BN_, int WM_, int WN_, int BlocksPerSm_>
struct MmaTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, blocks_per_sm = BlocksPerSm_, stages = 3;
  static constexpr bool masked_gather = true;  ///< two registers less per row
  static constexpr int BK = mma::chunks_per_row * Element::per_chunk;
  static constexpr int warps_n = BN / WN, threads = 32 * (BM / WM) * warps_n;
  static constexpr int stage_elements = (BM + BN) * BK;
  static constexpr int dynamic_shared_bytes = stages * stage_elements * static_cast<int>(sizeof(Stored));
  static_assert(BM % WM == 0 && BN % WN == 0 && WM % mma::group_rows == 0 && WN % mma::group_rows == 0);
};

template <class T>
concept TensorCoreTile = requires {
  typename T::Element;
};

namespace mma {

/// Copies (Extent, BK) pieces of an operand to shared memory, step after step along K. A thread keeps one
/// place along K and `items` along the other axis, so that it decodes indices once.
template <class T, class Operand, int Extent>
class TileCopier {
 public:
  __device__ __forceinline__ TileCopier(const Operand& operand, int mn_begin, int k_begin)
      : operand_(operand) {
    const int tid = static_cast<int>(threadIdx.x);
    int k;
    if constexpr (Operand::contiguous_k) {
      k = tid % chunks_per_row * per_chunk;
      first_ = rows_chunk(tid / chunks_per_row, tid % chunks_per_row);
#pragma unroll
      for (int i = 0; i < items; ++i) lane_[i] = operand.lane(mn_begin + tid / chunks_per_row + i * stride);
    } else {
      k = tid / lanes;
      first_ = columns_chunk(k, columns_turn(k, tid % lanes, 0, lanes), Extent / per_chunk);
#pragma unroll
      for (int i = 0; i < items; ++i) {
        lane_[i] = operand.lane(mn_begin + columns_turn(k, tid % lanes, i, lanes) * per_chunk);
      }
    }
    cursor_ = operand.cursor(k_begin + k);
    look();
  }
  /// Queues one step's copies to the stage at `to` and moves on.
  __device__ __forceinline__ void copy(std::uint32_t to) {
#pragma unroll
    for (int i = 0; i < items; ++i) {
      copy_async(to + static_cast<std::uint32_t>(chunk(i) * chunk_bytes), operand_.address(lane_[i], cursor_),
                 (inside_ >> i & 1) != 0);
    }
    if (operand_.advance(cursor_, T::BK)) look();
  }

 private:
  static constexpr int per_chunk = T::Element::per_chunk;
  /// Threads per place along K, and rows between a thread's items, for the one or the other kind of operand.
  static constexpr int lanes = T::threads / T::BK, stride = T::threads / chunks_per_row;
  static constexpr int items = Operand::contiguous_k ? Extent / stride : Extent / per_chunk / lanes;
  static_assert(T::threads % T::BK == 0 && stride % 8 == 0 && Extent % stride == 0 && items <= 32);

  __device__ __forceinline__ void look() {
    inside_ = 0;
#pragma unroll
    for (int i = 0; i < items; ++i) inside_ |= (operand_.inside(lane_[i], cursor_) ? 1u : 0u) << i;
  }
  /// rows_chunk and columns_chunk of item i follow from those of the first: a swizzle is linear over XOR, and
  /// an item's index has no bit in common with what a thread's own position gives.
  __device__ __forceinline__ int chunk(int i) const {
    if constexpr (Operand::contiguous_k) {
      return (first_ ^ (i * stride / 4 % 8)) + i * stride * chunks_per_row;
    } else {
      return (first_ ^ (i * lanes % 8)) + i * lanes / 8 * 8;
    }
  }

  const Operand& operand_;
  int first_;
  typename Operand::Cursor cursor_;
  typename Operand::Lane lane_[items];
  unsigned inside_;  ///< bit i: item i is to be read
};

/// What a lane gives mma.sync of one group: [half of K][matrix].
using Fragment = std::uint32_t[2][group_matrices];

/// Reads a warp's part of an operand from a stage.
template <class T, bool ContiguousK, int Extent, int Groups>
class FragmentReader {
 public:
  __device__ __forceinline__ explicit FragmentReader(int warp_begin) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if constexpr (ContiguousK) {
      first_ = rows_chunk(warp_begin + group_row(lane % 8, lane / 8), 0) * chunk_bytes;
    } else {
      first_ = columns_chunk(lane % 4, warp_begin / 4 + place_of(lane / 4), Extent / 4) * chunk_bytes;
    }
  }
  /// The step-th mma.sync's two chunks along K.
  __device__ __forceinline__ void read(const typename T::Stored* stage, int step,
                                       Fragment (&to)[Groups]) const {
#pragma unroll
    for (int group = 0; group < Groups; ++group) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t(&values)[group_matrices] = to[group][half];
        const auto* base = reinterpret_cast<const std::byte*>(stage);
        if constexpr (ContiguousK) {
          const int at = (first_ ^ ((2 * step + half) * chunk_bytes)) +
                         group * group_rows * chunks_per_row * chunk_bytes;
          load_matrices(shared_address(base + at), values);
        } else {
          static_assert(T::Element::per_chunk == 4, "16-bit elements need ldmatrix.trans here");
          const int at = first_ + ((8 * step + 4 * half) * Extent + group * group_rows) * 4;
          const uint4 v = *reinterpret_cast<const uint4*>(base + at);
          values[0] = v.x, values[1] = v.y, values[2] = v.z, values[3] = v.w;
        }
#pragma unroll
        for (std::uint32_t& value : values) value = T::Element::operand(value);
      }
    }
  }

 private:
  int first_;  ///< bytes
};

}  // namespace mma

/// implicit_gemm on tensor cores: every contiguous extent is a multiple of 16 bytes, and so aligned.
template <TensorCoreTile T, int Vec, class A, class B, class Output>
__device__ __forceinline__ void implicit_gemm(const A& a, const B& b, const Output& output, int m_begin,
                                              int n_begin, int k_begin, int k_end, int n_end) {
  static_assert(Vec == T::Element::per_chunk);
  using Element = typename T::Element;
  constexpr int groups_m = T::WM / mma::group_rows, groups_n = T::WN / mma::group_rows;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_m = warp / T::warps_n * T::WM, warp_n = warp % T::warps_n * T::WN;
  typename T::Stored* shared = mma::dynamic_shared();  // stages of A (BM, BK), B (BN, BK)
  float sums[groups_m][2][groups_n][4][4] = {};        // [..][16 rows of a group][..][8 columns of a group]

  {
    mma::TileCopier<T, A, T::BM> copy_a(a, m_begin, k_begin);
    mma::TileCopier<T, B, T::BN> copy_b(b, n_begin, k_begin);
    const mma::FragmentReader<T, A::contiguous_k, T::BM, groups_m> read_a(warp_m);
    const mma::FragmentReader<T, B::contiguous_k, T::BN, groups_n> read_b(warp_n);
    const auto copy_stage = [&](int stage) {
      typename T::Stored* to = shared + stage * T::stage_elements;
      copy_a.copy(mma::shared_address(to));
      copy_b.copy(mma::shared_address(to + T::BM * T::BK));
    };
    const int steps = (k_end - k_begin + T::BK - 1) / T::BK;
#pragma unroll
    for (int stage = 0; stage < T::stages - 1; ++stage) {
      if (stage < steps) copy_stage(stage);
      mma::commit_copies();
    }
    int reading = 0, writing = T::stages - 1;
    for (int step = 0; step < steps; ++step) {
      mma::wait_for_copies<T::stages - 2>();
      __syncthreads();  // all threads' copies of this step are there, and nobody reads the stage written next
      if (step + T::stages - 1 < steps) copy_stage(writing);
      mma::commit_copies();  // maybe of nothing: wait_for_copies counts groups
      const typename T::Stored* stage = shared + reading * T::stage_elements;
#pragma unroll
      for (int s = 0; s < mma::chunks_per_row / 2; ++s) {
        mma::Fragment from_a[groups_m], from_b[groups_n];
        read_a.read(stage, s, from_a);
        read_b.read(stage + T::BM * T::BK, s, from_b);
#pragma unroll
        for (int gm = 0; gm < groups_m; ++gm) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
#pragma unroll
            for (int gn = 0; gn < groups_n; ++gn) {
#pragma unroll
              for (int j = 0; j < 4; ++j) {
                Element::multiply(sums[gm][i][gn][j], from_a[gm][0][2 * i], from_a[gm][0][2 * i + 1],
                                  from_a[gm][1][2 * i], from_a[gm][1][2 * i + 1], from_b[gn][0][j],
                                  from_b[gn][1][j]);
              }
            }
          }
        }
      }
      reading = reading + 1 == T::stages ? 0 : reading + 1;
      writing = writing + 1 == T::stages ? 0 : writing + 1;
    }
  }

  // Column 2t + c of matrix j is column 16c + 4t + j of the group: four matrices are four neighbours.
#pragma unroll
  for (int gm = 0; gm < groups_m; ++gm) {
#pragma unroll
    for (int matrix = 0; matrix < mma::group_matrices; ++matrix) {
      float* row = output.row(m_begin + warp_m + gm * mma::group_rows + mma::group_row(lane / 4, matrix));
      if (row == nullptr) continue;
#pragma unroll
      for (int gn = 0; gn < groups_n; ++gn) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int n = n_begin + warp_n + gn * mma::group_rows + mma::group_row(2 * (lane % 4) + c, 0);
          if (n >= n_end) continue;
          const auto value = [&](int j) {
            return output.value(sums[gm][matrix / 2][gn][j][matrix % 2 * 2 + c], n + j);
          };
          *reinterpret_cast<float4*>(row + n) = make_float4(value(0), value(1), value(2), value(3));
        }
      }
    }
  }
}

}  // namespace convoy
