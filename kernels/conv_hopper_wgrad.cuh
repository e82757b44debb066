// wgrad by warpgroups: dw (K, taps·C) = dy (pixels,K)ᵀ gather(x), computed as (channels × filters) per tap. A
// block sums 64 channels × 64 filters × up to nine taps, three per warpgroup, over a range of pixels: x is
// copied once for all taps, as a patch (conv_patch.h), and reaches the tensor cores through registers; dy
// lies in shared memory.
#pragma once

#include "kernels/conv_kernels.cuh"
#include "kernels/conv_patch_plan.h"
#include "kernels/mbarrier.cuh"
#include "kernels/wgmma.cuh"

namespace convoy {

template <class Element_, int Pixels_, int Stages_>
struct PatchWgradTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr int pixels = Pixels_,
                       stages = Stages_;  ///< windows of a step
  static constexpr int groups = 3, group_taps = wgrad_taps / groups;
  static constexpr int threads = 128 * groups;         ///< that multiply
  static constexpr int block_threads = threads + 128;  ///< and a warpgroup that copies
  static constexpr int producer_registers = 32, consumer_registers = 160;
};

/// What a block sums.
struct PatchWgradBlock {
  int first_filter, first_channel, first_tap;
  int begin, end;  ///< pixels
};

/// The part of those who copy: x's patch, dy and the table of windows of a step at a time.
template <class Tile, class T>
__device__ __forceinline__ void produce(const PatchedGather<T>& source, const PixelColumns<T>& dy,
                                        const PatchWgradLayout& layout, const PatchWgradBlock& block) {
  constexpr int producers = Tile::block_threads - Tile::threads, under_way = Tile::stages - 2;
  constexpr int stride = producers / 8;  // pixels at once, of eight planes
  const int tid = static_cast<int>(threadIdx.x) - Tile::threads, plane = tid % 8, first = tid / 8;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  const StageRing ring(base + layout.barriers, Tile::stages);
  const int channels = source.gather.channels, channel = block.first_channel + plane * 8,
            filter = block.first_filter + plane * 8;
  const bool in_channels = channel < channels;
  const T* x = source.gather.source + (in_channels ? channel : 0);
  const T* dy_from = dy.dy + (filter < dy.filters ? filter : 0);
  StageCursor writing, arriving;
  int begun = 0;
  const auto arrive = [&] {
    wgmma::publish_shared();
    ring.arrive_full(arriving.stage);
    arriving.advance(Tile::stages);
  };
  for (int pixel = block.begin; pixel < block.end; pixel += Tile::pixels) {
    const PixelRun patch = source.patch(pixel, Tile::pixels);
    const int patch_pixels = patch.end - patch.begin, stage_begin = writing.stage * layout.stage;
    ring.wait_empty(writing.stage, writing.lap);
    const T* from = x + std::int64_t{patch.begin + first} * channels;
    std::uint32_t to = base + stage_begin + plane * layout.plane + first * patch_chunk;
#pragma unroll 4
    for (int i = first; i < patch_pixels; i += stride) {
      mma::AsyncCopies::copy(to, from, in_channels);
      from += stride * channels;
      to += stride * patch_chunk;
    }
    const int last = filter < dy.filters ? block.end - pixel : 0;  // the pixels that are there
    from = dy_from + std::int64_t{pixel + first} * dy.filters;
    to = base + stage_begin + layout.filters + plane * layout.filter_plane + first * patch_chunk;
#pragma unroll 4
    for (int i = first; i < Tile::pixels; i += stride) {
      mma::AsyncCopies::copy(to, i < last ? from : dy.dy, i < last);
      from += stride * dy.filters;
      to += stride * patch_chunk;
    }
    auto* windows = reinterpret_cast<PatchWindow*>(shared + stage_begin + layout.windows);
    for (int i = tid; i < Tile::pixels; i += producers) {
      PatchWindow window = source.window(pixel + i);
      if (pixel + i >= block.end) window.reached = 0;
      window.first = (window.first - patch.begin) * patch_chunk;
      windows[i] = window;
    }
    mma::AsyncCopies::commit();
    writing.advance(Tile::stages);
    if (++begun > under_way) {
      mma::AsyncCopies::wait<under_way>();
      arrive();
    }
  }
  mma::AsyncCopies::wait<0>();
  for (int i = min(begun, under_way); i > 0; --i) arrive();
}

/// Block x: filters within channels within groups of taps; block y: pixels [y·chunk, (y+1)·chunk) into
/// partial y of dw (splits,K,taps·C).
template <class Tile>
__global__ void __launch_bounds__(Tile::block_threads, 1)
    patch_wgrad_kernel(const __grid_constant__ Gather<typename Tile::Stored> x, int source_pixels,
                       const __grid_constant__ PixelColumns<typename Tile::Stored> dy, float* dw, int chunk,
                       const __grid_constant__ PatchWgradLayout layout) {
  using Element = typename Tile::Element;
  constexpr int k_steps = Tile::pixels / 16;
  const PatchedGather<typename Tile::Stored> source{x, source_pixels};
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, group = tid / 128, warp = tid / 32 % 4;
  const int filter_blocks = (dy.filters + wgrad_filters - 1) / wgrad_filters,
            channel_blocks = (x.channels + wgrad_channels - 1) / wgrad_channels;
  const int tile = static_cast<int>(blockIdx.x), split = static_cast<int>(blockIdx.y);
  const PatchWgradBlock block{
      tile % filter_blocks * wgrad_filters, tile / filter_blocks % channel_blocks * wgrad_channels,
      tile / filter_blocks / channel_blocks * wgrad_taps, split * chunk, min(split * chunk + chunk, x.rows)};
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);
  const StageRing ring(base + layout.barriers, Tile::stages);

  if (tid == 0) ring.init((Tile::block_threads - Tile::threads) / 32, Tile::threads / 32);
  for (int i = tid; i < wgrad_taps; i += Tile::block_threads) {
    PatchTap tap{0, 1u << 31, 0};  // beyond the last tap: a bit that no window has
    if (block.first_tap + i < x.taps) tap = source.tap(block.first_tap + i);
    tap.further *= patch_chunk;
    tap_table[i] = tap;
  }
  for (int i = tid; i < Tile::stages * layout.planes; i += Tile::block_threads) {
    std::byte* stage = shared + i / layout.planes * layout.stage;
    *reinterpret_cast<uint4*>(stage + i % layout.planes * layout.plane + layout.zeros()) =
        make_uint4(0, 0, 0, 0);
  }
  __syncthreads();

  if (tid >= Tile::threads) {
    give_registers<Tile::producer_registers>();
    produce<Tile>(source, dy, layout, block);
  } else {
    take_registers<Tile::consumer_registers>();
    float sums[Tile::group_taps][wgrad_filters / 8][4] = {};
    wgmma::pin(sums);
    std::uint32_t a[2][Tile::group_taps][4];
    PatchTap taps[Tile::group_taps];
#pragma unroll
    for (int i = 0; i < Tile::group_taps; ++i) taps[i] = tap_table[group * Tile::group_taps + i];

    // This lane's address in ldmatrix: a pixel of the sixteen, and which eight of the warp's sixteen
    // channels.
    const int lane_pixel = lane / 16 * 8 + lane % 8;
    const std::uint32_t lane_base = base + (warp * 2 + lane / 8 % 2) * layout.plane;
    StageCursor reading;
    int last_stage = -1;
    for (int pixel = block.begin; pixel < block.end; pixel += Tile::pixels) {
      const int begin = reading.stage * layout.stage;
      const auto* windows =
          reinterpret_cast<const PatchWindow*>(shared + begin + layout.windows) + lane_pixel;
      const wgmma::Matrices b(base + begin + layout.filters, 8 * patch_chunk, layout.filter_plane);
      const std::uint32_t patch = lane_base + begin;
      ring.wait_full(reading.stage, reading.lap);
      PatchWindow window = windows[0];
#pragma unroll
      for (int k = 0; k < k_steps; ++k) {
        wgmma::wait<1>();  // products that read the registers written now are done
#pragma unroll
        for (int i = 0; i < Tile::group_taps; ++i) {
          const bool inside = (window.reached & taps[i].needs) == taps[i].needs;
          mma::load_matrices_transposed(patch + (inside ? window.first + taps[i].further : layout.zeros()),
                                        a[k % 2][i]);
        }
        if (k + 1 < k_steps) window = windows[(k + 1) * 16];
        wgmma::fence();
#pragma unroll
        for (int i = 0; i < Tile::group_taps; ++i) {
          wgmma::multiply<Element, true, wgrad_filters>(sums[i], a[k % 2][i],
                                                        b.descriptor(k * 16 * patch_chunk));
        }
        wgmma::commit();
        if (k == 1 && last_stage >= 0)
          ring.arrive_empty(last_stage);  // what the previous step read is free now
      }
      last_stage = reading.stage;
      reading.advance(Tile::stages);
    }
    wgmma::wait<0>();
    wgmma::pin(sums);

    const int length = x.taps * x.channels;
    float* partial = dw + std::int64_t{split} * dy.filters * length;
#pragma unroll
    for (int i = 0; i < Tile::group_taps; ++i) {
      const int tap = block.first_tap + group * Tile::group_taps + i;
      if (tap >= x.taps) break;
#pragma unroll
      for (int c = 0; c < wgrad_filters / 8; ++c) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int channel = block.first_channel + warp * 16 + lane / 4 + j / 2 * 8,
                    filter = block.first_filter + c * 8 + lane % 4 * 2 + j % 2;
          if (channel < x.channels && filter < dy.filters)
            partial[std::int64_t{filter} * length + tap * x.channels + channel] = sums[i][c][j];
        }
      }
    }
  }
}

}  // namespace convoy
