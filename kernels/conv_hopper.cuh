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
#include "kernels/mbarrier.cuh"
#include "kernels/staged_rows.cuh"
#include "kernels/wgmma.cuh"

namespace convoy {

/// Blocks of BM windows × BN columns by `Groups` warpgroups that divide the windows among themselves, and
/// `Producers` warps that copy; products of `GroupSteps` times 16 of the depth are waited for together.
template <class Element_, int BM_, int BN_, int Groups_, int BlocksPerSm_, int GroupSteps_ = 2,
          int Producers_ = 4>
struct PatchTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr int BM = BM_, BN = BN_, groups = Groups_, blocks_per_sm = BlocksPerSm_,
                       group_steps = GroupSteps_;
  static constexpr int threads = 128 * groups;              ///< that multiply
  static constexpr int producer_threads = 32 * Producers_;  ///< that copy, the last of a block
  static constexpr int block_threads = threads + producer_threads;
  static constexpr int WM = BM / groups, tiles_m = WM / 64;
  static constexpr int columns = std::min(BN, 128), tiles_n = BN / columns;  ///< of one instruction
  static constexpr int staged_row_bytes = BN * static_cast<int>(sizeof(Stored)) + mma::chunk_bytes;
  static_assert(WM % 64 == 0 && BN % columns == 0);
  // Registers per thread: of all at the start, then of those that copy and those that multiply.
  static constexpr int entry_registers = std::min(65536 / (block_threads * blocks_per_sm) / 8 * 8, 240);
  static constexpr int producer_registers = 32;
  static constexpr int consumer_registers =
      std::min(((groups + 1) * entry_registers - producer_registers) / groups / 8 * 8, 240);
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

template <class T>
__device__ __forceinline__ int producer_thread() {
  return static_cast<int>(threadIdx.x) - T::threads;
}

/// Copies of a block's patch, a block of channels at a time.
template <class T, int Planes>
struct PatchCopier {
  const typename T::Stored* from;  ///< this thread's first pixel and eight channels
  std::uint32_t to;
  int channels, pixels, channel;

  __device__ __forceinline__ PatchCopier(const Gather<typename T::Stored>& source, const PixelRun& patch,
                                         std::uint32_t shared, int plane_bytes) {
    const int plane = producer_thread<T>() % Planes, first = producer_thread<T>() / Planes;
    channel = plane * 8;
    channels = source.channels;
    pixels = patch.end - patch.begin;
    from = source.source + std::int64_t{patch.begin + first} * channels + channel;
    to = shared + plane * plane_bytes + first * patch_chunk;
  }
  __device__ __forceinline__ void copy(int block, std::uint32_t buffer_bytes) const {
    constexpr int stride = T::producer_threads / Planes;
    const bool inside = block * channel_block + channel < channels;
    const auto* source = from + (inside ? block * channel_block : -channel);
    std::uint32_t place = to + buffer_bytes;
#pragma unroll 4
    for (int pixel = producer_thread<T>() / Planes; pixel < pixels; pixel += stride) {
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
    const int plane = producer_thread<T>() % row_planes, row = producer_thread<T>() / row_planes;
    to_ = shared + plane * plane_bytes + row * patch_chunk;
    if constexpr (Filters::across) {
      from_ = filters.w + (row * filters.length + n_begin + plane * 8);
      rows_ = n_begin + plane * 8 < filters.columns ? filters.depth - row : 0;
    } else {
      from_ = filters.w + ((n_begin + row) * filters.length + plane * 8);
      rows_ = filters.columns - n_begin - row;
      depth_ = filters.depth - plane * 8;
    }
  }
  __device__ __forceinline__ void copy(int block, int of_tap, std::uint32_t stage_bytes) const {
    const int k = block * channel_block;
    const auto* from = from_ + (of_tap + (Filters::across ? k * filters_.length : k));
    const int rows = Filters::across ? rows_ - k : k < depth_ ? rows_ : 0;
    std::uint32_t to = to_ + stage_bytes;
#pragma unroll 8
    for (int i = 0; i < items; ++i) {
      const bool inside = i * stride < rows;
      mma::AsyncCopies::copy(to, inside ? from : filters_.w, inside);
      from += stride * filters_.length;
      to += stride * patch_chunk;
    }
  }

 private:
  static constexpr int row_planes = Filters::across ? T::BN / 8 : Planes,
                       all_rows = Filters::across ? Planes * 8 : T::BN;
  static constexpr int stride = T::producer_threads / row_planes, items = all_rows / stride;
  static_assert(T::producer_threads % row_planes == 0 && all_rows % stride == 0);
  const Filters& filters_;
  const typename T::Stored* from_;
  std::uint32_t to_;
  int rows_, depth_ = 0;
};

/// The part of those who copy: steps go tap by tap within blocks of channels, a block's patch with
/// its first.
template <class T, int Planes, class Filters>
__device__ __forceinline__ void produce(const Gather<typename T::Stored>& source, const PixelRun& patch,
                                        const Filters& filters, const PatchLayout& layout,
                                        const PatchTap* taps, int n_begin, int blocks) {
  constexpr int under_way = patch_stages - 2;
  const std::uint32_t base = mma::shared_address(mma::dynamic_shared());
  const StageRing ring(base + layout.barriers, patch_stages);
  const PatchCopier<T, Planes> patches(source, patch, base, layout.plane);
  const FilterCopier<T, Planes, Filters> copier(filters, n_begin, base + layout.filters, layout.filter_plane);
  StageCursor writing, arriving;
  int begun = 0;
  const auto arrive = [&] {
    wgmma::publish_shared();
    ring.arrive_full(arriving.stage);
    arriving.advance(patch_stages);
  };
  for (int block = 0, buffer = 0; block < blocks; ++block) {
    for (int tap = 0; tap < source.taps; ++tap) {
      ring.wait_empty(writing.stage, writing.lap);
      if (tap == 0) patches.copy(block, buffer * Planes * layout.plane);
      copier.copy(block, taps[tap].filter, writing.stage * layout.filter_stage);
      mma::AsyncCopies::commit();
      writing.advance(patch_stages);
      if (++begun > under_way) {
        mma::AsyncCopies::wait<under_way>();
        arrive();
      }
    }
    if (++buffer == layout.buffers) buffer = 0;
  }
  mma::AsyncCopies::wait<0>();
  for (int i = std::min(begun, under_way); i > 0; --i) arrive();
}

/// One block's product, its blocks of channels in `Planes` planes: windows [m_begin, m_begin + BM) of
/// `source` × columns [n_begin, n_begin + BN).
template <class T, int Planes, class Filters, class FilterOfTap, class Output>
__device__ __forceinline__ void patch_product(const PatchedGather<typename T::Stored>& source,
                                              const Filters& filters, const Output& output,
                                              const PatchLayout& layout, int m_begin, int n_begin,
                                              FilterOfTap filter_of_tap) {
  using Element = typename T::Element;
  constexpr int chunk = patch_chunk, products = Planes / 2 / T::group_steps;  // groups of them in a step
  static_assert(Planes / 2 % T::group_steps == 0);
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, group = tid / 128, warp = tid / 32 % 4;
  const int taps = source.gather.taps,
            blocks = taps > 0 ? (filters.depth + channel_block - 1) / channel_block : 0;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);
  const StageRing ring(base + layout.barriers, patch_stages);
  const PixelRun patch = source.patch(m_begin, T::BM);

  if (tid == 0) ring.init(T::producer_threads / 32, T::threads / 32);
  for (int i = tid; i < taps; i += T::block_threads) {
    PatchTap tap = source.tap(i);
    tap.further *= chunk;
    tap.filter = filter_of_tap(i);
    tap_table[i] = tap;
  }
  for (int i = tid; i < layout.buffers * Planes; i += T::block_threads) {
    *reinterpret_cast<uint4*>(shared + i * layout.plane + layout.zeros()) = make_uint4(0, 0, 0, 0);
  }
  __syncthreads();

  if (tid >= T::threads) {
    if constexpr (T::blocks_per_sm == 1) give_registers<T::producer_registers>();
    produce<T, Planes>(source.gather, patch, filters, layout, tap_table, n_begin, blocks);
  } else {
    if constexpr (T::blocks_per_sm == 1) take_registers<T::consumer_registers>();
    // Of each 64 windows of the warpgroup: where this lane's begins, from the first of the patch, and its
    // taps.
    int window_bytes[T::tiles_m];
    std::uint32_t reached[T::tiles_m];
#pragma unroll
    for (int i = 0; i < T::tiles_m; ++i) {
      const PatchWindow window = source.window(m_begin + group * T::WM + i * 64 + warp * 16 + lane % 16);
      window_bytes[i] = (window.first - patch.begin) * chunk;
      reached[i] = window.reached;
    }

    float sums[T::tiles_m][T::tiles_n][T::columns / 8][4] = {};
    wgmma::pin(sums);
    std::uint32_t a[2][T::group_steps][T::tiles_m][4];
    std::uint32_t lane_buffer = base + lane / 16 * layout.plane;
    StageCursor reading;
    int tap = 0, buffer = 0, last_stage = -1;
    for (int step = blocks * taps; step > 0; --step) {
      const PatchTap at = tap_table[tap];
      std::uint32_t from[T::tiles_m];
#pragma unroll
      for (int i = 0; i < T::tiles_m; ++i) {
        const bool inside = (reached[i] & at.needs) == at.needs;
        from[i] = lane_buffer + (inside ? window_bytes[i] + at.further : layout.zeros());
      }
      const wgmma::Matrices b(base + layout.filters + reading.stage * layout.filter_stage,
                              Filters::across ? 8 * chunk : layout.filter_plane,
                              Filters::across ? layout.filter_plane : 8 * chunk);
      ring.wait_full(reading.stage, reading.lap);
#pragma unroll
      for (int product = 0; product < products; ++product) {
        // Products that read the registers written now are done; those of the others go on.
        wgmma::wait<(products > 1 ? 1 : 0)>();
#pragma unroll
        for (int s = 0; s < T::group_steps; ++s) {
#pragma unroll
          for (int i = 0; i < T::tiles_m; ++i) {
            mma::load_matrices(from[i] + 2 * (product * T::group_steps + s) * layout.plane,
                               a[product % 2][s][i]);
          }
        }
        wgmma::fence();
#pragma unroll
        for (int s = 0; s < T::group_steps; ++s) {
          const int k = product * T::group_steps + s;
          const int along = Filters::across ? 2 * k * 8 * chunk : 2 * k * layout.filter_plane;
#pragma unroll
          for (int j = 0; j < T::tiles_n; ++j) {
            const int across =
                Filters::across ? j * T::columns / 8 * layout.filter_plane : j * T::columns * chunk;
#pragma unroll
            for (int i = 0; i < T::tiles_m; ++i) {
              wgmma::multiply<Element, Filters::across, T::columns>(sums[i][j], a[product % 2][s][i],
                                                                    b.descriptor(along + across));
            }
          }
        }
        wgmma::commit();
        // What the previous step read is free now.
        if (product == std::min(1, products - 1) && last_stage >= 0) ring.arrive_empty(last_stage);
      }
      last_stage = reading.stage;
      reading.advance(patch_stages);
      if (++tap == taps) {
        tap = 0;
        const bool last = ++buffer == layout.buffers;
        if (last) buffer = 0;
        lane_buffer += (last ? 1 - layout.buffers : 1) * Planes * layout.plane;
      }
    }
    wgmma::wait<0>();
    wgmma::pin(sums);

    sync_first<T::threads>();  // all have read their last operands
    if (output.plain()) {
      stage_sums<T>(sums, [](float sum, int) { return sum; });
    } else {
      stage_sums<T>(sums, [&](float sum, int column) {  // beyond the last: whatever, never copied
        return output.value(sum, min(n_begin + column, filters.columns - 1));
      });
    }
    sync_first<T::threads>();
    mma::write_rows<T>(output, m_begin, n_begin, filters.columns);
  }
}

template <class Tile, int Planes>
__global__ void __launch_bounds__(Tile::block_threads, Tile::blocks_per_sm)
    patch_fprop_kernel(const __grid_constant__ Gather<typename Tile::Stored> x, int source_pixels,
                       const __grid_constant__ PatchFilterColumns<typename Tile::Stored> w,
                       const __grid_constant__ MatrixOutput<typename Tile::Stored> y,
                       const __grid_constant__ PatchLayout layout) {
  const BlockTile at = block_tile<Tile>(y.columns);
  const int channels = w.depth;
  patch_product<Tile, Planes>(PatchedGather<typename Tile::Stored>{x, source_pixels}, w, y, layout, at.m,
                              at.n, [&](int tap) { return tap * channels; });
}

template <class Tile, int Planes>
__global__ void __launch_bounds__(Tile::block_threads, Tile::blocks_per_sm)
    patch_dgrad_kernel(const __grid_constant__ DgradProblem<typename Tile::Stored> problem, int source_pixels,
                       const __grid_constant__ PatchLayout layout) {
  using T = typename Tile::Stored;
  const DgradClass<T>& cls = problem.classes[blockIdx.y];
  const BlockTile at = block_tile<Tile>(problem.c);
  if (at.m >= cls.gather.rows) return;
  const PatchFilterRows<T> w{problem.w, problem.c, cls.gather.channels, problem.filter};
  const ClassOutput<T> dx{problem.dx, cls, problem.d, problem.h, problem.width, problem.c};
  patch_product<Tile, Planes>(PatchedGather<T>{cls.gather, source_pixels}, w, dx, layout, at.m, at.n,
                              [&](int tap) { return problem.filter_of_tap(cls, tap); });
}

}  // namespace convoy
