// wgrad by warpgroups: dw (K, taps·C) = dy (pixels,K)ᵀ gather(x), computed as (channels × filters) per tap. A
// block sums 64 channels × 64 filters × up to nine taps, three per warpgroup, over a range of pixels: x is
// copied once for all taps, as a patch (conv_patch.h), and reaches the tensor cores through registers; dy
// lies in shared memory.
#pragma once

#include "kernels/conv_kernels.cuh"
#include "kernels/conv_patch_plan.h"
#include "kernels/wgmma.cuh"

namespace convoy {

template <class Element_, int Pixels_, int Stages_>
struct PatchWgradTile {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr int pixels = Pixels_,
                       stages = Stages_;  ///< windows of a step; one stage more is read than waited for
  static constexpr int groups = 3, group_taps = wgrad_taps / groups, threads = 128 * groups;
};

/// Block x: filters within channels within groups of taps; block y: pixels [y·chunk, (y+1)·chunk) into
/// partial y of dw (splits,K,taps·C).
template <class Tile>
__global__ void __launch_bounds__(Tile::threads, 1)
    patch_wgrad_kernel(const __grid_constant__ Gather<typename Tile::Stored> x, int source_pixels,
                       const __grid_constant__ PixelColumns<typename Tile::Stored> dy, float* dw, int chunk,
                       const __grid_constant__ PatchWgradLayout layout) {
  using Stored = typename Tile::Stored;
  using Element = typename Tile::Element;
  constexpr int unit = patch_chunk, per_unit = 8, lookahead = Tile::stages - 2, k_steps = Tile::pixels / 16;
  const PatchedGather<Stored> source{x, source_pixels};
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, group = tid / 128, warp = tid / 32 % 4;
  const int filter_blocks = (dy.filters + wgrad_filters - 1) / wgrad_filters,
            channel_blocks = (x.channels + wgrad_channels - 1) / wgrad_channels;
  const int tile = static_cast<int>(blockIdx.x);
  const int first_filter = tile % filter_blocks * wgrad_filters,
            first_channel = tile / filter_blocks % channel_blocks * wgrad_channels,
            first_tap = tile / filter_blocks / channel_blocks * wgrad_taps;
  const int begin = static_cast<int>(blockIdx.y) * chunk, end = min(begin + chunk, x.rows);
  const int steps = (end - begin + Tile::pixels - 1) / Tile::pixels;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);

  for (int i = tid; i < wgrad_taps; i += Tile::threads) {
    PatchTap tap{0, 1u << 31, 0};  // beyond the last tap: a bit that no window has
    if (first_tap + i < x.taps) tap = source.tap(first_tap + i);
    tap.further *= unit;
    tap_table[i] = tap;
  }
  for (int i = tid; i < Tile::stages * layout.planes; i += Tile::threads) {
    std::byte* stage = shared + i / layout.planes * layout.stage;
    *reinterpret_cast<uint4*>(stage + i % layout.planes * layout.plane + layout.zeros()) =
        make_uint4(0, 0, 0, 0);
  }

  int next_pixel = begin, next_stage = 0;
  const auto copy_step = [&] {
    if (next_pixel < end) {
      const PixelRun patch = source.patch(next_pixel, Tile::pixels);
      const int plane = tid % 8;
      const std::uint32_t stage = base + next_stage * layout.stage;
      {
        const int channel = first_channel + plane * per_unit;
        const bool inside = channel < x.channels;
        const std::uint32_t to = stage + plane * layout.plane;
        const Stored* from = x.source + std::int64_t{patch.begin} * x.channels + (inside ? channel : 0);
        for (int pixel = tid / 8; pixel < patch.end - patch.begin; pixel += Tile::threads / 8) {
          mma::AsyncCopies::copy(to + pixel * unit, from + std::int64_t{pixel} * x.channels, inside);
        }
      }
      const int filter = first_filter + plane * per_unit;
      const std::uint32_t to = stage + layout.filters + plane * layout.filter_plane;
      for (int pixel = tid / 8; pixel < Tile::pixels; pixel += Tile::threads / 8) {
        const bool inside = next_pixel + pixel < end && filter < dy.filters;
        mma::AsyncCopies::copy(
            to + pixel * unit,
            inside ? dy.dy + std::int64_t{next_pixel + pixel} * dy.filters + filter : dy.dy, inside);
      }
      auto* windows = reinterpret_cast<PatchWindow*>(shared + next_stage * layout.stage + layout.windows);
      for (int pixel = tid; pixel < Tile::pixels; pixel += Tile::threads) {
        PatchWindow window = source.window(next_pixel + pixel);
        if (next_pixel + pixel >= end) window.reached = 0;
        window.first = (window.first - patch.begin) * unit;
        windows[pixel] = window;
      }
      next_pixel += Tile::pixels;
      next_stage = next_stage + 1 == Tile::stages ? 0 : next_stage + 1;
    }
    mma::AsyncCopies::commit();
  };

  float sums[Tile::group_taps][wgrad_filters / 8][4] = {};
  std::uint32_t a[2][Tile::group_taps][4];
#pragma unroll
  for (int i = 0; i < lookahead; ++i) copy_step();
  __syncthreads();  // the table is there
  PatchTap taps[Tile::group_taps];
#pragma unroll
  for (int i = 0; i < Tile::group_taps; ++i) taps[i] = tap_table[group * Tile::group_taps + i];

  // This lane's address in ldmatrix: a pixel of the sixteen, and which eight of the warp's sixteen channels.
  const int lane_pixel = lane / 16 * 8 + lane % 8;
  const int lane_plane = (warp * 2 + lane / 8 % 2) * layout.plane;
  int stage = 0;
  for (int step = 0; step < steps; ++step) {
    mma::AsyncCopies::wait<lookahead - 1>();
    wgmma::publish_shared();
    __syncthreads();  // this step's copies are there, and nobody reads the stage written next

    const std::uint32_t at = base + stage * layout.stage;
    const auto* windows =
        reinterpret_cast<const PatchWindow*>(shared + stage * layout.stage + layout.windows) + lane_pixel;
    const wgmma::Matrices b(at + layout.filters, 8 * unit, layout.filter_plane);
    const std::uint32_t patch = at + lane_plane;
#pragma unroll
    for (int k = 0; k < k_steps; ++k) {
      const PatchWindow window = windows[k * 16];
      wgmma::wait<1>();  // products that read the registers written now are done
#pragma unroll
      for (int i = 0; i < Tile::group_taps; ++i) {
        const bool inside = (window.reached & taps[i].needs) == taps[i].needs;
        mma::load_matrices_transposed(patch + (inside ? window.first + taps[i].further : layout.zeros()),
                                      a[k % 2][i]);
      }
      wgmma::fence();
#pragma unroll
      for (int i = 0; i < Tile::group_taps; ++i) {
        wgmma::multiply<Element, true, wgrad_filters>(sums[i], a[k % 2][i], b.descriptor(k * 16 * unit));
      }
      wgmma::commit();
      if (k == 1) copy_step();  // while the tensor cores are busy
    }
    stage = stage + 1 == Tile::stages ? 0 : stage + 1;
  }
  wgmma::wait<0>();

  const int length = x.taps * x.channels;
  float* partial = dw + std::int64_t{blockIdx.y} * dy.filters * length;
#pragma unroll
  for (int i = 0; i < Tile::group_taps; ++i) {
    const int tap = first_tap + group * Tile::group_taps + i;
    if (tap >= x.taps) break;
#pragma unroll
    for (int c = 0; c < wgrad_filters / 8; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int channel = first_channel + warp * 16 + lane / 4 + j / 2 * 8,
                  filter = first_filter + c * 8 + lane % 4 * 2 + j % 2;
        if (channel < x.channels && filter < dy.filters)
          partial[std::int64_t{filter} * length + tap * x.channels + channel] = sums[i][c][j];
      }
    }
  }
}

}  // namespace convoy
