// out (M,N) = A (M,K) * B (K,N) on tensor cores, for the same operands as simt/simt_gemm.cuh: functions from
// indices to addresses.
//
// A block computes BM × BN, a warp WM × WN of it in mma.sync, K steps of 128 bytes copied to shared memory
// (by cp.async where there is one), `stages` in flight. All tiles of an element type share the instruction
// and the order of K, so that the tile chosen never changes a bit. Limited by mma.sync issue where K is long,
// and by the work before and after the loop where K is short.
#pragma once

#include "core/ceil_div.h"
#include "kernels/conv/cuda/epilogue/staged_rows.cuh"
#include "kernels/conv/cuda/simt/simt_gemm.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/mma_layout.h"

namespace convoy {

template <class Element_, int BM_, int BN_, int WM_, int WN_, int BlocksPerSm_, int Stages_ = 3>
struct MmaTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  using Order = typename Element::Order;
  using Copies = typename Element::Copies;
  static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, blocks_per_sm = BlocksPerSm_, stages = Stages_;
  static constexpr bool masked_gather = true;  ///< two registers less per row
  static constexpr int BK = mma::chunks_per_row * Element::per_chunk;
  static constexpr int warps_n = BN / WN, threads = 32 * (BM / WM) * warps_n;
  static constexpr int stage_elements = (BM + BN) * BK;
  static constexpr int dynamic_shared_bytes = stages * stage_elements * static_cast<int>(sizeof(Stored));
  /// A row of the product on its way through shared memory; eight rows begin at distinct banks.
  static constexpr int staged_row_bytes = BN * static_cast<int>(sizeof(Stored)) + mma::chunk_bytes;
  static_assert(BM * staged_row_bytes <= dynamic_shared_bytes);
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
      first_ = rows_chunk<Order>(tid / chunks_per_row, tid % chunks_per_row);
#pragma unroll
      for (int i = 0; i < items; ++i)
        row_[i] = operand.row_state(mn_begin + tid / chunks_per_row + i * stride);
    } else {
      k = tid / lanes;
      constexpr int extent_chunks = Extent / per_chunk;
      const auto turn = [&](int i) { return columns_turn(k, tid % lanes, i, lanes, extent_chunks); };
      first_ = columns_chunk<Order>(k, turn(0), extent_chunks);
#pragma unroll
      for (int i = 0; i < items; ++i) row_[i] = operand.row_state(mn_begin + turn(i) * per_chunk);
    }
    cursor_ = operand.cursor(k_begin + k);
    look();
  }
  /// Queues one step's copies to the stage at `to` and moves on.
  __device__ __forceinline__ void copy(std::uint32_t to) {
#pragma unroll
    for (int i = 0; i < items; ++i) {
      T::Copies::copy(to + static_cast<std::uint32_t>(chunk(i) * chunk_bytes),
                      operand_.address(row_[i], cursor_), (inside_ >> i & 1) != 0);
    }
    if (operand_.advance(cursor_, T::BK)) look();
  }

 private:
  using Order = typename T::Order;
  static constexpr int per_chunk = T::Element::per_chunk;
  /// Threads per place along K, and rows between a thread's items, for the one or the other kind of operand.
  static constexpr int lanes = T::threads / T::BK, stride = T::threads / chunks_per_row;
  static constexpr int items = Operand::contiguous_k ? Extent / stride : Extent / per_chunk / lanes;
  static_assert(T::threads % T::BK == 0 && stride % 8 == 0 && Extent % stride == 0 && items <= 32);

  __device__ __forceinline__ void look() {
    inside_ = 0;
#pragma unroll
    for (int i = 0; i < items; ++i) inside_ |= (operand_.inside(row_[i], cursor_) ? 1u : 0u) << i;
  }
  /// rows_chunk and columns_chunk of item i follow from those of the first: a swizzle is linear over XOR, and
  /// an item's index has no bit in common with what a thread's own position gives.
  __device__ __forceinline__ int chunk(int i) const {
    if constexpr (Operand::contiguous_k) {
      return (first_ ^ Order::row_swizzle(i * stride)) + i * stride * chunks_per_row;
    } else {
      return first_ ^ (i * lanes);
    }
  }

  const Operand& operand_;
  int first_;
  typename Operand::Cursor cursor_;
  typename Operand::RowState row_[items];
  unsigned inside_;  ///< bit i: item i is to be read
};

/// What one lane passes to mma.sync for one group: the operands of two instructions, in the order of the
/// instruction's registers. Of A for 16 rows each: rows g and g + 8 of the first half of K, then of the
/// second; of B for two times 8 columns each: both halves of K of the one, then of the other.
using Fragment = std::uint32_t[2][4];

enum class Role : std::uint8_t { a, b };

/// Reads a warp's part of an operand from a stage.
template <class T, Role role, bool ContiguousK, int Extent>
class FragmentReader {
 public:
  __device__ __forceinline__ explicit FragmentReader(int warp_begin) {
    const int lane = static_cast<int>(threadIdx.x) % 32, row = lane % 8;
    // Which of ldmatrix' four matrices this lane has the address of a row of: of two neighbours, and two
    // halves.
    const int matrix = role == Role::a ? lane / 8 % 2 : lane / 16;
    const int half = role == Role::a ? lane / 16 : lane / 8 % 2;
    if constexpr (ContiguousK) {
      first_ = rows_chunk<Order>(warp_begin + Order::row(row, matrix), half) * chunk_bytes;
    } else if constexpr (transposes) {
      first_ =
          columns_chunk<Order>(8 * half + row, warp_begin / per_chunk + matrix, extent_chunks) * chunk_bytes;
    } else {
      first_ =
          columns_chunk<Order>(lane % 4, warp_begin / per_chunk + Order::place_of(lane / 4), extent_chunks) *
          chunk_bytes;
    }
  }
  /// A group's two chunks along K for the step-th mma.sync.
  __device__ __forceinline__ void read(const std::byte* stage, int step, int group, Fragment& to) const {
    const int k_bytes = 2 * step * per_chunk * extent_chunks * chunk_bytes;
    if constexpr (ContiguousK || transposes) {
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        if constexpr (ContiguousK) {
          const int rows = group * group_rows + Order::row(0, 2 * pair);
          const int at = (first_ ^ (2 * step * chunk_bytes)) + rows * chunks_per_row * chunk_bytes;
          load_matrices(shared_address(stage + at), to[pair]);
        } else {
          const int at = (first_ ^ ((group * group_matrices + 2 * pair) * chunk_bytes)) + k_bytes;
          load_matrices_transposed(shared_address(stage + at), to[pair]);
        }
      }
    } else {
      const std::byte* from = stage + first_ + k_bytes + group * group_rows / per_chunk * chunk_bytes;
      const uint4 v = *reinterpret_cast<const uint4*>(from);
      const uint4 w = *reinterpret_cast<const uint4*>(from + per_chunk * extent_chunks * chunk_bytes);
      const std::uint32_t low[4] = {v.x, v.y, v.z, v.w}, high[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
      for (int matrix = 0; matrix < group_matrices; ++matrix) {
        std::uint32_t(&operand)[4] = to[matrix / 2];
        operand[role == Role::a ? matrix % 2 : matrix % 2 * 2] = low[matrix];
        operand[role == Role::a ? matrix % 2 + 2 : matrix % 2 * 2 + 1] = high[matrix];
      }
    }
#pragma unroll
    for (auto& operand : to) {
#pragma unroll
      for (std::uint32_t& value : operand) value = T::Element::operand(value);
    }
  }

 private:
  using Order = typename T::Order;
  static constexpr int per_chunk = T::Element::per_chunk, extent_chunks = Extent / per_chunk;
  static constexpr bool transposes = sizeof(typename T::Stored) == 2;
  int first_;  ///< bytes
};

/// Sums of a warp: [group of rows][16 rows of it][group of columns][8 columns of it][rows g, g + 8 × columns
/// 2t, 2t + 1].
template <class T>
using Sums = float[T::WM / group_rows][2][T::WN / group_rows][group_matrices][4];

/// One group of A's rows times all of B's columns of a warp.
template <class T>
__device__ __forceinline__ void multiply(const Fragment& a, const Fragment (&b)[T::WN / group_rows],
                                         float (&sums)[2][T::WN / group_rows][group_matrices][4]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int gn = 0; gn < T::WN / group_rows; ++gn) {
#pragma unroll
      for (int j = 0; j < group_matrices; ++j) {
        T::Element::multiply(sums[i][gn][j], a[i][0], a[i][1], a[i][2], a[i][3], b[gn][j / 2][j % 2 * 2],
                             b[gn][j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

/// Calls visit(group, matrix, row of the tile, first column of the warp, t) for the rows of which this lane
/// holds sums.
template <class T, class Visit>
__device__ __forceinline__ void for_each_sum(Visit visit) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_m = warp / T::warps_n * T::WM, warp_n = warp % T::warps_n * T::WN;
#pragma unroll
  for (int gm = 0; gm < T::WM / group_rows; ++gm) {
#pragma unroll
    for (int matrix = 0; matrix < group_matrices; ++matrix) {
      const int m = warp_m + gm * group_rows + T::Order::row(lane / 4, matrix);
      visit(gm, matrix, m, warp_n, lane % 4);
    }
  }
}

/// Four neighbours at once, from registers (QuadOrder: column 2t + c of matrix j is column 16c + 4t + j).
template <class T, class Output>
__device__ __forceinline__ void write_quads(const Output& output, const Sums<T>& sums, int m_begin,
                                            int n_begin, int n_end) {
  for_each_sum<T>([&](int gm, int matrix, int m, int warp_n, int t) {
    float* row = output.row(m_begin + m);
    if (row == nullptr) return;
#pragma unroll
    for (int gn = 0; gn < T::WN / group_rows; ++gn) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int n = n_begin + warp_n + gn * group_rows + T::Order::row(2 * t + c, 0);
        if (n >= n_end) continue;
        const auto value = [&](int j) {
          return output.value(sums[gm][matrix / 2][gn][j][matrix % 2 * 2 + c], n + j);
        };
        *reinterpret_cast<float4*>(row + n) = make_float4(value(0), value(1), value(2), value(3));
      }
    }
  });
}

/// Pairs of f32, of which four lanes fill a sector (NaturalOrder).
template <class T, class Output>
__device__ __forceinline__ void write_pairs(const Output& output, const Sums<T>& sums, int m_begin,
                                            int n_begin, int n_end) {
  for_each_sum<T>([&](int gm, int matrix, int m, int warp_n, int t) {
    float* row = output.row(m_begin + m);
    if (row == nullptr) return;
#pragma unroll
    for (int gn = 0; gn < T::WN / group_rows; ++gn) {
#pragma unroll
      for (int j = 0; j < group_matrices; ++j) {
        const int n = n_begin + warp_n + gn * group_rows + T::Order::row(2 * t, j);
        if (n >= n_end) continue;
        const float* pair = &sums[gm][matrix / 2][gn][j][matrix % 2 * 2];
        *reinterpret_cast<float2*>(row + n) =
            make_float2(output.value(pair[0], n), output.value(pair[1], n + 1));
      }
    }
  });
}

/// 16-bit results by way of shared memory, so that threads write whole chunks of rows (NaturalOrder).
template <class T, class Output>
__device__ __forceinline__ void write_staged(const Output& output, const Sums<T>& sums, int m_begin,
                                             int n_begin, int n_end) {
  using Stored = typename T::Stored;
  std::byte* staged = dynamic_shared();
  __syncthreads();  // all warps have read their last stage
  for_each_sum<T>([&](int gm, int matrix, int m, int warp_n, int t) {
#pragma unroll
    for (int gn = 0; gn < T::WN / group_rows; ++gn) {
#pragma unroll
      for (int j = 0; j < group_matrices; ++j) {
        const int column = warp_n + gn * group_rows + T::Order::row(2 * t, j);
        const int n = min(n_begin + column, n_end - 2);  // beyond the last column: any value, never copied
        const float* pair = &sums[gm][matrix / 2][gn][j][matrix % 2 * 2];
        const Pack<2> values{{output.value(pair[0], n), output.value(pair[1], n + 1)}};
        store<2>(reinterpret_cast<Stored*>(staged + m * T::staged_row_bytes), column / 2, values);
      }
    }
  });
  __syncthreads();
  write_rows<T>(output, m_begin, n_begin, n_end);
}

}  // namespace mma

/// implicit_gemm on tensor cores: every contiguous extent is a multiple of 16 bytes, and so aligned.
template <TensorCoreTile T, int Vec, class A, class B, class Output>
__device__ __forceinline__ void implicit_gemm(const A& a, const B& b, const Output& output, int m_begin,
                                              int n_begin, int k_begin, int k_end, int n_end) {
  static_assert(Vec == T::Element::per_chunk);
  if constexpr (!T::Element::is_picked) {
    __trap();
    return;
  }
  using Copies = typename T::Copies;
  constexpr int groups_m = T::WM / mma::group_rows, groups_n = T::WN / mma::group_rows;
  constexpr int stage_bytes = T::stage_elements * static_cast<int>(sizeof(typename T::Stored));
  constexpr int b_begin = T::BM * T::BK * static_cast<int>(sizeof(typename T::Stored));
  const int warp = static_cast<int>(threadIdx.x) / 32;
  std::byte* shared = mma::dynamic_shared();  // stages of A (BM, BK), B (BN, BK)
  mma::Sums<T> sums = {};

  {
    mma::TileCopier<T, A, T::BM> copy_a(a, m_begin, k_begin);
    mma::TileCopier<T, B, T::BN> copy_b(b, n_begin, k_begin);
    const mma::FragmentReader<T, mma::Role::a, A::contiguous_k, T::BM> read_a(warp / T::warps_n * T::WM);
    const mma::FragmentReader<T, mma::Role::b, B::contiguous_k, T::BN> read_b(warp % T::warps_n * T::WN);
    const auto copy_stage = [&](int stage) {
      const std::uint32_t to = mma::shared_address(shared + stage * stage_bytes);
      copy_a.copy(to);
      copy_b.copy(to + b_begin);
    };
    const int steps = ceil_div(k_end - k_begin, T::BK);
#pragma unroll
    for (int stage = 0; stage < T::stages - 1; ++stage) {
      if (stage < steps) copy_stage(stage);
      Copies::commit();
    }
    // While tensor cores multiply one group of A's rows, the fragments of the next group are read; with the
    // last group of one K, those of the next K, be it of the next stage.
    mma::Fragment from_a[2], from_b[2][groups_n];
    const auto read_b_fragments = [&](int stage, int s) {
#pragma unroll
      for (int gn = 0; gn < groups_n; ++gn) {
        read_b.read(shared + stage * stage_bytes + b_begin, s, gn, from_b[s % 2][gn]);
      }
    };
    const auto read_a_fragment = [&](int stage, int s, int gm) {
      read_a.read(shared + stage * stage_bytes, s, gm, from_a[(s * groups_m + gm) % 2]);
    };
    // All threads' copies of the next stage have arrived, and no thread reads the stage that is written next.
    const auto next_stage_is_ready = [] {
      Copies::template wait<T::stages - 2>();
      __syncthreads();
    };
    constexpr int parts = mma::chunks_per_row / 2;
    static_assert(parts % 2 == 0, "the next stage's first fragments go where the last ones are not");
    int reading = 0, writing = T::stages - 1;
    next_stage_is_ready();
    if (steps > 0) {
      read_b_fragments(0, 0);
      read_a_fragment(0, 0, 0);
    }
    for (int step = 0; step < steps; ++step) {
      if (step + T::stages - 1 < steps) copy_stage(writing);
      Copies::commit();  // maybe an empty group: wait counts groups
#pragma unroll
      for (int s = 0; s < parts; ++s) {
#pragma unroll
        for (int gm = 0; gm < groups_m; ++gm) {
          if (gm + 1 < groups_m) {
            read_a_fragment(reading, s, gm + 1);
          } else if (s + 1 < parts) {
            read_b_fragments(reading, s + 1);
            read_a_fragment(reading, s + 1, 0);
          } else {
            reading = reading + 1 == T::stages ? 0 : reading + 1;
            writing = writing + 1 == T::stages ? 0 : writing + 1;
            next_stage_is_ready();
            if (step + 1 < steps) {
              read_b_fragments(reading, 0);
              read_a_fragment(reading, 0, 0);
            }
          }
          mma::multiply<T>(from_a[(s * groups_m + gm) % 2], from_b[s % 2], sums[gm]);
        }
      }
    }
  }

  if constexpr (std::is_same_v<typename T::Order, mma::QuadOrder>)
    mma::write_quads<T>(output, sums, m_begin, n_begin, n_end);
  else if constexpr (std::is_same_v<typename Output::Stored, float>)
    mma::write_pairs<T>(output, sums, m_begin, n_begin, n_end);
  else
    mma::write_staged<T>(output, sums, m_begin, n_begin, n_end);
}

}  // namespace convoy
