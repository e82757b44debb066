// A convolution's products by warpgroups (wgmma.cuh). The gathered operand comes from a patch of its source
// in shared memory (conv_patch.h) by way of registers: a lane gives ldmatrix the address of its window's
// pixel, or of zeros. The other operand is read from shared memory by the tensor cores.
//
// Shared memory holds planes of 16 bytes, eight channels, of every pixel (or filter): eight neighbours are a
// matrix of ldmatrix and of wgmma, and a tap only moves where it begins. The distance between planes is odd,
// in units of 16 bytes, so that threads that copy the planes of a pixel side by side write to distinct banks.
#pragma once

#include "kernels/conv_kernels.cuh"
#include "kernels/conv_patch_plan.h"
#include "kernels/staged_rows.cuh"
#include "kernels/wgmma.cuh"

namespace convoy {

/// Blocks of BM windows × BN columns by `Groups` warpgroups that divide the windows among themselves.
template <class Element_, int BM_, int BN_, int Groups_, int BlocksPerSm_>
struct PatchTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr int BM = BM_, BN = BN_, groups = Groups_, blocks_per_sm = BlocksPerSm_;
  static constexpr int threads = 128 * groups, WM = BM / groups, tiles_m = WM / 64;
  static constexpr int columns = std::min(BN, 128), tiles_n = BN / columns;  ///< of one instruction
  static constexpr int staged_row_bytes = BN * static_cast<int>(sizeof(Stored)) + mma::chunk_bytes;
  static_assert(WM % 64 == 0 && BN % columns == 0);
};

/// w (K,T,R,S,C) as the other operand of fprop: columns are filters, contiguous along channels.
template <class T>
struct PatchFilterColumns {
  static constexpr bool across = false;
  const T* w;
  int columns, depth;  ///< filters and channels
  int length;          ///< of a filter
  __device__ const T* address(int tap, int channel, int filter) const {
    return w + (filter * length + tap + channel);
  }
};
/// The same of dgrad: columns are channels and contiguous, what is summed are filters.
template <class T>
struct PatchFilterRows {
  static constexpr bool across = true;
  const T* w;
  int columns, depth;  ///< channels and filters
  int length;
  __device__ const T* address(int tap, int filter, int channel) const {
    return w + (filter * length + tap + channel);
  }
};

/// One block's product, `Halves` of a block of channels being there: windows [m_begin, m_begin + BM) of
/// `source` × columns [n_begin, n_begin + BN).
template <class T, int Halves, class Filters, class FilterOfTap, class Output>
__device__ __forceinline__ void patch_product(const PatchedGather<typename T::Stored>& source,
                                              const Filters& filters, const Output& output,
                                              const PatchLayout& layout, int m_begin, int n_begin,
                                              FilterOfTap filter_of_tap) {
  using Stored = typename T::Stored;
  using Element = typename T::Element;
  constexpr int chunk = mma::chunk_bytes, per_chunk = 8, half_steps = 2, planes = 4 * Halves;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32;
  const int depth = filters.depth, taps = source.gather.taps;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);
  const PixelRun patch = source.patch(m_begin, T::BM);
  const int patch_pixels = patch.end - patch.begin, patch_bytes = planes * layout.plane;

  for (int i = tid; i < taps; i += T::threads) {
    PatchTap tap = source.tap(i);
    tap.further *= chunk;
    tap.filter = filter_of_tap(i);
    tap_table[i] = tap;
  }
  for (int i = tid; i < layout.buffers * planes; i += T::threads) {
    *reinterpret_cast<uint4*>(shared + i * layout.plane + layout.zeros()) = make_uint4(0, 0, 0, 0);
  }
  // Of each 64 windows of the warpgroup: where this lane's begins, from the first of the patch, and its taps.
  const int group = tid / 128, warp = tid / 32 % 4;
  int window_bytes[T::tiles_m];
  std::uint32_t reached[T::tiles_m];
#pragma unroll
  for (int i = 0; i < T::tiles_m; ++i) {
    const PatchWindow window = source.window(m_begin + group * T::WM + i * 64 + warp * 16 + lane % 16);
    window_bytes[i] = (window.first - patch.begin) * chunk;
    reached[i] = window.reached;
  }
  __syncthreads();  // the table is there

  const int blocks = (depth + channel_block - 1) / channel_block, steps = blocks * taps;
  const auto copy_patch = [&](int block) {
    const int plane = tid % planes, channel = block * channel_block + plane * per_chunk;
    const bool inside = channel < depth;
    const std::uint32_t to = base + block % layout.buffers * patch_bytes + plane * layout.plane;
    const Stored* from =
        source.gather.source + std::int64_t{patch.begin} * source.gather.channels + (inside ? channel : 0);
    constexpr int stride = T::threads / planes;
    for (int pixel = tid / planes; pixel < patch_pixels; pixel += stride) {
      mma::AsyncCopies::copy(to + pixel * chunk, from + std::int64_t{pixel} * source.gather.channels, inside);
    }
  };
  const auto copy_filters = [&](int block, int tap, int stage) {
    const int of_tap = tap_table[tap].filter;
    const std::uint32_t to = base + layout.filters + stage * layout.filter_stage;
    if constexpr (Filters::across) {
      constexpr int across = T::BN / per_chunk, stride = T::threads / across;
      const int plane = tid % across, column = n_begin + plane * per_chunk;
      for (int row = tid / across; row < planes * per_chunk; row += stride) {
        const int k = block * channel_block + row;
        const bool inside = k < depth && column < filters.columns;
        mma::AsyncCopies::copy(to + plane * layout.filter_plane + row * chunk,
                               filters.address(of_tap, inside ? k : 0, inside ? column : 0), inside);
      }
    } else {
      const int plane = tid % planes, k = block * channel_block + plane * per_chunk;
      constexpr int stride = T::threads / planes;
      for (int row = tid / planes; row < T::BN; row += stride) {
        const bool inside = k < depth && n_begin + row < filters.columns;
        mma::AsyncCopies::copy(to + plane * layout.filter_plane + row * chunk,
                               filters.address(of_tap, inside ? k : 0, inside ? n_begin + row : 0), inside);
      }
    }
  };
  // What copies have come to: a block of channels, a tap of it, and a stage.
  int next_block = 0, next_tap = 0, next_stage = 0;
  const auto copy_step = [&] {
    if (next_block < blocks) {
      if (next_tap == 0) copy_patch(next_block);
      copy_filters(next_block, next_tap, next_stage);
      if (++next_tap == taps) next_tap = 0, ++next_block;
      next_stage = next_stage + 1 == patch_stages ? 0 : next_stage + 1;
    }
    mma::AsyncCopies::commit();
  };

  float sums[T::tiles_m][T::tiles_n][T::columns / 8][4] = {};
  wgmma::pin(sums);
  std::uint32_t a[Halves][half_steps][T::tiles_m][4];
  if (steps > 0) {
#pragma unroll
    for (int i = 0; i < patch_lookahead; ++i) copy_step();
  }
  int block = 0, tap = 0, stage = 0;
  const std::uint32_t lane_plane = lane / 16 * layout.plane;
  for (int step = 0; step < steps; ++step) {
    mma::AsyncCopies::wait<patch_lookahead - 1>();
    wgmma::publish_shared();
    __syncthreads();  // this step's copies are there, and nobody reads the stage written next
    copy_step();

    const PatchTap at = tap_table[tap];
    const std::uint32_t buffer = base + block % layout.buffers * patch_bytes + lane_plane;
    std::uint32_t from[T::tiles_m];
#pragma unroll
    for (int i = 0; i < T::tiles_m; ++i) {
      const bool inside = (reached[i] & at.needs) == at.needs;
      from[i] = buffer + (inside ? window_bytes[i] + at.further : layout.zeros());
    }
    const std::uint32_t filter_base = base + layout.filters + stage * layout.filter_stage;
    const wgmma::Matrices b(filter_base, Filters::across ? 8 * chunk : layout.filter_plane,
                            Filters::across ? layout.filter_plane : 8 * chunk);
#pragma unroll
    for (int half = 0; half < Halves; ++half) {
      wgmma::wait<Halves - 1>();  // products that read the registers written now are done; those of the other
                                  // half go on
#pragma unroll
      for (int s = 0; s < half_steps; ++s) {
#pragma unroll
        for (int i = 0; i < T::tiles_m; ++i) {
          mma::load_matrices(from[i] + 2 * (half * half_steps + s) * layout.plane, a[half][s][i]);
        }
      }
      wgmma::fence();
#pragma unroll
      for (int s = 0; s < half_steps; ++s) {
        const int k = half * half_steps + s;
        const int along = Filters::across ? 2 * k * 8 * chunk : 2 * k * layout.filter_plane;
#pragma unroll
        for (int j = 0; j < T::tiles_n; ++j) {
          const int across =
              Filters::across ? j * T::columns / per_chunk * layout.filter_plane : j * T::columns * chunk;
#pragma unroll
          for (int i = 0; i < T::tiles_m; ++i) {
            wgmma::multiply<Element, Filters::across, T::columns>(sums[i][j], a[half][s][i],
                                                                  b.descriptor(along + across));
          }
        }
      }
      wgmma::commit();
    }
    if (++tap == taps) tap = 0, ++block;
    stage = stage + 1 == patch_stages ? 0 : stage + 1;
  }
  wgmma::wait<0>();
  wgmma::pin(sums);

  __syncthreads();  // all have read their last operands
#pragma unroll
  for (int i = 0; i < T::tiles_m; ++i) {
#pragma unroll
    for (int j = 0; j < T::tiles_n; ++j) {
#pragma unroll
      for (int c = 0; c < T::columns / 8; ++c) {
        const int column = j * T::columns + c * 8 + 2 * (lane % 4);
        const int n = min(n_begin + column, filters.columns - 2);  // beyond the last: whatever, never copied
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const int row = group * T::WM + i * 64 + warp * 16 + lane / 4 + 8 * r;
          const float* pair = &sums[i][j][c][2 * r];
          const Pack<2> values{{output.value(pair[0], n), output.value(pair[1], n + 1)}};
          store<2>(reinterpret_cast<Stored*>(shared + row * T::staged_row_bytes), column / 2, values);
        }
      }
    }
  }
  __syncthreads();
  mma::write_rows<T>(output, m_begin, n_begin, filters.columns);
}

template <class Tile, int Halves>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    patch_fprop_kernel(const __grid_constant__ Gather<typename Tile::Stored> x, int source_pixels,
                       const __grid_constant__ PatchFilterColumns<typename Tile::Stored> w,
                       const __grid_constant__ MatrixOutput<typename Tile::Stored> y,
                       const __grid_constant__ PatchLayout layout) {
  const BlockTile at = block_tile<Tile>(y.columns);
  const int channels = w.depth;
  patch_product<Tile, Halves>(PatchedGather<typename Tile::Stored>{x, source_pixels}, w, y, layout, at.m,
                              at.n, [&](int tap) { return tap * channels; });
}

template <class Tile, int Halves>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks_per_sm)
    patch_dgrad_kernel(const __grid_constant__ DgradProblem<typename Tile::Stored> problem, int source_pixels,
                       const __grid_constant__ PatchLayout layout) {
  using T = typename Tile::Stored;
  const DgradClass<T>& cls = problem.classes[blockIdx.y];
  const BlockTile at = block_tile<Tile>(problem.c);
  if (at.m >= cls.gather.rows) return;
  const PatchFilterRows<T> w{problem.w, problem.c, cls.gather.channels, problem.filter};
  const ClassOutput<T> dx{problem.dx, cls, problem.d, problem.h, problem.width, problem.c};
  patch_product<Tile, Halves>(PatchedGather<T>{cls.gather, source_pixels}, w, dx, layout, at.m, at.n,
                              [&](int tap) { return problem.filter_of_tap(cls, tap); });
}

}  // namespace convoy
