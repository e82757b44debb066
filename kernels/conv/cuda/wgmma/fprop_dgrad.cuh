// A convolution's products by warpgroups (wgmma.cuh). The gathered operand comes from a patch of its source
// in shared memory (index/patch.h) by way of registers: a lane gives ldmatrix the address of its window's
// pixel, or of zeros. The other operand is read from shared memory by the tensor cores.
//
// Shared memory holds planes of 16 bytes, eight channels, of every pixel (or filter): eight neighbours are a
// matrix of ldmatrix and of wgmma, and a tap only moves where it begins. The distance between planes is odd,
// in units of 16 bytes, so that threads that copy the planes of a pixel side by side write to distinct banks.
#pragma once

#include "core/ceil_div.h"
#include "kernels/conv/cuda/epilogue/staged_rows.cuh"
#include "kernels/conv/cuda/kernels.cuh"
#include "kernels/conv/cuda/wgmma/layout.h"
#include "kernels/cuda/wgmma.cuh"

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

/// Rounds a block's sums, each made a result by value(sum, column of the block), to where write_rows expects
/// them.
template <class T, class Value>
__device__ __forceinline__ void stage_sums(const float (&sums)[T::tiles_m][T::tiles_n][T::columns / 8][4],
                                           Value value) {
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32;
  // Of the four matrices that an instruction stores, rows g and g + 8 × columns c and c + 1, this lane gives
  // the address of a row.
  const int row = tid / 128 * T::WM + tid / 32 % 4 * 16 + lane % 16, column = lane / 16 * 8;
  const std::uint32_t to = mma::shared_address(mma::dynamic_shared() + row * T::staged_row_bytes +
                                               column * sizeof(typename T::Stored));
#pragma unroll
  for (int i = 0; i < T::tiles_m; ++i) {
#pragma unroll
    for (int j = 0; j < T::tiles_n; ++j) {
#pragma unroll
      for (int c = 0; c < T::columns / 8; c += 2) {
        std::uint32_t pairs[4];
#pragma unroll
        for (int matrix = 0; matrix < 4; ++matrix) {
          const float* pair = &sums[i][j][c + matrix / 2][matrix % 2 * 2];
          const int n = j * T::columns + (c + matrix / 2) * 8 + lane % 4 * 2;
          pairs[matrix] =
              rounded<typename T::Stored>(Pack<2>{{value(pair[0], n), value(pair[1], n + 1)}}).pairs[0];
        }
        wgmma::store_matrices(to + i * 64 * T::staged_row_bytes + (j * T::columns + c * 8) * 2, pairs);
      }
    }
  }
}

/// w (K,T,R,S,C) as the other operand of fprop: columns are filters, contiguous along channels, which are
/// summed.
template <class T>
struct PatchFilterColumns {
  static constexpr bool across = false;
  const T* w;
  int columns, depth;  ///< filters and channels
  int length;          ///< of a filter
};
/// The same of dgrad: columns are channels and contiguous, what is summed are filters.
template <class T>
struct PatchFilterRows {
  static constexpr bool across = true;
  const T* w;
  int columns, depth;  ///< channels and filters
  int length;
};

/// Copies of a block's patch, a block of channels at a time.
template <class T, int Planes>
struct PatchCopier {
  const typename T::Stored* from;  ///< this thread's first pixel and eight channels
  std::uint32_t to;
  int channels, pixels, channel;

  __device__ __forceinline__ PatchCopier(const Gather<typename T::Stored>& source, const PixelRun& patch,
                                         std::uint32_t shared, int plane_bytes) {
    const int plane = static_cast<int>(threadIdx.x) % Planes, first = static_cast<int>(threadIdx.x) / Planes;
    channel = plane * 8;
    channels = source.channels;
    pixels = patch.end - patch.begin;
    from = source.source + std::int64_t{patch.begin + first} * channels + channel;
    to = shared + plane * plane_bytes + first * patch_chunk;
  }
  __device__ __forceinline__ void copy(int block, std::uint32_t buffer_bytes) const {
    constexpr int stride = T::threads / Planes;
    const bool inside = block * channel_block + channel < channels;
    const auto* source = from + (inside ? block * channel_block : -channel);
    std::uint32_t place = to + buffer_bytes;
#pragma unroll 4
    for (int pixel = static_cast<int>(threadIdx.x) / Planes; pixel < pixels; pixel += stride) {
      mma::AsyncCopies::copy(place, source, inside);
      source += stride * channels;
      place += stride * patch_chunk;
    }
  }
};

/// Copies of a step's filters: of one tap and one block of channels.
template <class T, int Planes, class Filters>
class FilterCopier {
 public:
  __device__ __forceinline__ FilterCopier(const Filters& filters, int n_begin, std::uint32_t shared,
                                          int plane_bytes)
      : filters_(filters) {
    const int tid = static_cast<int>(threadIdx.x), plane = tid % row_planes, row = tid / row_planes;
    to_ = shared + plane * plane_bytes + row * patch_chunk;
    if constexpr (Filters::across) {
      depth_ = row;
      offset_ = row * filters.length + n_begin + plane * 8;
      inside_ = n_begin + plane * 8 < filters.columns ? ~0u : 0u;
    } else {
      depth_ = plane * 8;
      offset_ = (n_begin + row) * filters.length + plane * 8;
      inside_ = 0;
#pragma unroll
      for (int i = 0; i < items; ++i)
        inside_ |= (n_begin + row + i * stride < filters.columns ? 1u : 0u) << i;
    }
  }
  __device__ __forceinline__ void copy(int block, int of_tap, std::uint32_t stage_bytes) const {
    if (rows < stride && static_cast<int>(threadIdx.x) / row_planes >= rows) return;
    const int k = block * channel_block;
    const auto* from = filters_.w + (offset_ + of_tap + (Filters::across ? k * filters_.length : k));
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const bool inside =
          depth_ + k + (Filters::across ? i * stride : 0) < filters_.depth && (inside_ >> i & 1) != 0;
      mma::AsyncCopies::copy(to_ + stage_bytes + i * stride * patch_chunk,
                             inside ? from + i * stride * filters_.length : filters_.w, inside);
    }
  }

 private:
  static constexpr int row_planes = Filters::across ? T::BN / 8 : Planes,
                       rows = Filters::across ? Planes * 8 : T::BN;
  static constexpr int stride = T::threads / row_planes, items = std::max(1, rows / stride);
  static_assert(T::threads % row_planes == 0 && items <= 32 && (items == 1 || rows % stride == 0));
  const Filters& filters_;
  std::uint32_t to_, inside_;
  int offset_, depth_;
};

/// One block's product, `Halves` of a block of channels being there: windows [m_begin, m_begin + BM) of
/// `source` × columns [n_begin, n_begin + BN).
template <class T, int Halves, class Filters, class FilterOfTap, class Output>
__device__ __forceinline__ void patch_product(const PatchedGather<typename T::Stored>& source,
                                              const Filters& filters, const Output& output,
                                              const PatchLayout& layout, int m_begin, int n_begin,
                                              FilterOfTap filter_of_tap) {
  using Element = typename T::Element;
  constexpr int chunk = patch_chunk, half_steps = 2, planes = 4 * Halves;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, group = tid / 128, warp = tid / 32 % 4;
  const int depth = filters.depth, taps = source.gather.taps;
  const int blocks = taps > 0 ? ceil_div(depth, channel_block) : 0, steps = blocks * taps;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);

  const PixelRun patch = source.patch(m_begin, T::BM);
  const int patch_bytes = planes * layout.plane, patches_bytes = layout.buffers * patch_bytes;
  const PatchCopier<T, planes> patches(source.gather, patch, base, layout.plane);
  if (blocks > 0) patches.copy(0, 0);
  for (int i = tid; i < taps; i += T::threads) {
    PatchTap tap = source.tap(i);
    tap.offset *= chunk;
    tap.filter = filter_of_tap(i);
    tap_table[i] = tap;
  }
  for (int i = tid; i < layout.buffers * planes; i += T::threads) {
    *reinterpret_cast<uint4*>(shared + i * layout.plane + layout.zeros()) = make_uint4(0, 0, 0, 0);
  }
  __syncthreads();  // the table is complete

  const FilterCopier<T, planes, Filters> filter_copies(filters, n_begin, base + layout.filters,
                                                       layout.filter_plane);
  // Copy cursor: channel block, tap, destination.
  int next_block = 0, next_tap = 0;
  std::uint32_t next_patch = 0, next_stage = 0;
  const int stages_bytes = patch_stages * layout.filter_stage;
  const auto copy_step = [&] {
    if (next_block < blocks) {
      if (next_tap == 0 && next_block > 0) patches.copy(next_block, next_patch);
      filter_copies.copy(next_block, tap_table[next_tap].filter, next_stage);
      if (++next_tap == taps) {
        next_tap = 0, ++next_block;
        next_patch = next_patch + patch_bytes == patches_bytes ? 0 : next_patch + patch_bytes;
      }
      next_stage = next_stage + layout.filter_stage == stages_bytes ? 0 : next_stage + layout.filter_stage;
    }
    mma::AsyncCopies::commit();
  };
#pragma unroll
  for (int i = 0; i < patch_lookahead; ++i) copy_step();

  // Of each 64 windows of the warpgroup: where this lane's begins, from the first of the patch, and its taps.
  int window_bytes[T::tiles_m];
  std::uint32_t valid_mask[T::tiles_m];
#pragma unroll
  for (int i = 0; i < T::tiles_m; ++i) {
    const PatchWindow window = source.window(m_begin + group * T::WM + i * 64 + warp * 16 + lane % 16);
    window_bytes[i] = (window.first - patch.begin) * chunk;
    valid_mask[i] = window.valid_mask;
  }

  float sums[T::tiles_m][T::tiles_n][T::columns / 8][4] = {};
  wgmma::pin(sums);
  std::uint32_t a[Halves][half_steps][T::tiles_m][4];
  const std::uint32_t lane_base = base + lane / 16 * layout.plane;
  int tap = 0;
  std::uint32_t buffer = 0, stage = 0;
  PatchTap at = tap_table[0];
  for (int step = 0; step < steps; ++step) {
    mma::AsyncCopies::wait<patch_lookahead - 1>();
    wgmma::publish_shared();
    __syncthreads();  // this step's copies have arrived, and no thread reads the stage that is written next

    std::uint32_t from[T::tiles_m];
#pragma unroll
    for (int i = 0; i < T::tiles_m; ++i) {
      const bool inside = (valid_mask[i] & at.required_mask) == at.required_mask;
      from[i] = lane_base + buffer + (inside ? window_bytes[i] + at.offset : layout.zeros());
    }
    const wgmma::Matrices b(base + layout.filters + stage, Filters::across ? 8 * chunk : layout.filter_plane,
                            Filters::across ? layout.filter_plane : 8 * chunk);
#pragma unroll
    for (int half = 0; half < Halves; ++half) {
      // Products that read the registers written now are done; those of the other half go on.
      wgmma::wait<Halves - 1>();
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
              Filters::across ? j * T::columns / 8 * layout.filter_plane : j * T::columns * chunk;
#pragma unroll
          for (int i = 0; i < T::tiles_m; ++i) {
            wgmma::multiply<Element, Filters::across, T::columns>(sums[i][j], a[half][s][i],
                                                                  b.descriptor(along + across));
          }
        }
      }
      wgmma::commit();
      if (half == 0) copy_step();  // while the tensor cores are busy
    }
    if (++tap == taps) {
      tap = 0;
      buffer = buffer + patch_bytes == patches_bytes ? 0 : buffer + patch_bytes;
    }
    at = tap_table[tap];
    stage = stage + layout.filter_stage == stages_bytes ? 0 : stage + layout.filter_stage;
  }
  wgmma::wait<0>();
  wgmma::pin(sums);

  __syncthreads();  // all have read their last operands
  if (output.plain())
    stage_sums<T>(sums, [](float sum, int) { return sum; });
  else
    stage_sums<T>(sums, [&](float sum, int column) {
      return output.value(sum, min(n_begin + column,
                                   filters.columns - 1));  // beyond the last column: any value, never copied
    });
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
