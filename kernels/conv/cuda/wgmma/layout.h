// How the products of a convolution by warpgroups divide shared memory and the pixels of a wgrad. Plain C++:
// tests reach it without a GPU.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/host_device.h"
#include "kernels/conv/cuda/index/patch.h"
#include "kernels/conv/cuda/plan.h"

namespace convoy {

constexpr int ring_bytes = 16;   ///< of barriers per stage
constexpr int patch_chunk = 16;  ///< bytes of a plane per pixel: eight channels

constexpr int patch_lookahead = 2;                 ///< steps whose copies are under way
constexpr int patch_stages = patch_lookahead + 2;  ///< of filters: one is read, one was read just now

/// Channels go by in blocks of `channel_block`, in each of them the taps: the order of a sum, whatever the
/// tile.
constexpr int channel_block = 64;

/// How shared memory is divided; bytes.
struct PatchLayout {
  int planes;        ///< of a block of channels: 4 or 8
  int plane;         ///< of a patch, from one to the next
  int buffers;       ///< patches
  int filter_plane;  ///< of a stage of filters
  int filter_stage;
  int filters, taps;  ///< where they begin
  int total;
  CONVOY_HOST_DEVICE int zeros() const { return plane - patch_chunk; }  ///< a pixel of zeros ends every plane
};

/// Min and max taps over the sub-problems of one launch. The fewer, the more patches are in flight at once.
struct TapCounts {
  int fewest, most;
};

/// For patches of up to `pixels` and `taps` taps of `channels`; in a stage of filters, `tile.n` of them lie
/// across or along the planes. The block's 16-bit results are staged where all that was.
inline PatchLayout patch_layout(int channels, TapCounts taps, int pixels, bool filters_across,
                                const TileShape& tile) {
  constexpr int chunk = patch_chunk, per_chunk = 8;
  const int columns = tile.n, staged = tile.m * (2 * tile.n + chunk);
  PatchLayout layout{};
  layout.planes = channels <= channel_block / 2 ? 4 : 8;
  layout.plane = ((pixels + 1) | 1) * chunk;
  const int blocks = ceil_div(channels, channel_block);
  layout.buffers = std::min(blocks, 1 + ceil_div(patch_lookahead, std::max(1, taps.fewest)));
  const int rows = filters_across ? layout.planes * per_chunk : columns;
  layout.filter_plane = (rows | 1) * chunk;
  layout.filter_stage = layout.filter_plane * (filters_across ? columns / per_chunk : layout.planes);
  layout.filters = layout.buffers * layout.planes * layout.plane;
  layout.taps = layout.filters + patch_stages * layout.filter_stage;
  layout.total = std::max(staged, layout.taps + std::max(1, taps.most) * static_cast<int>(sizeof(PatchTap)));
  return layout;
}

inline PatchLayout fprop_layout(const ConvShape& shape, const TileShape& tile) {
  const Gather<char> x = forward_gather<char>(shape, nullptr);
  const int pixels =
      PatchedGather<char>{x, static_cast<int>(shape.n * shape.in.pixels())}.largest_patch(tile.m);
  const auto taps = static_cast<int>(shape.taps());
  return patch_layout(shape.in.c, {taps, taps}, pixels, false, tile);
}
inline PatchLayout dgrad_layout(const ConvShape& shape, const TileShape& tile) {
  int pixels = 0;
  TapCounts taps{static_cast<int>(shape.taps()), 0};
  for (const DgradClass<char>& cls : dgrad_classes<char>(shape, nullptr)) {
    const PatchedGather<char> dy{cls.gather, static_cast<int>(shape.n * shape.out().pixels())};
    if (cls.gather.rows > 0) pixels = std::max(pixels, dy.largest_patch(tile.m));
    if (cls.gather.taps > 0) taps.fewest = std::min(taps.fewest, cls.gather.taps);
    taps.most = std::max(taps.most, cls.gather.taps);
  }
  return patch_layout(shape.k, taps, pixels, true, tile);
}

constexpr int wgrad_pixels = 128;  ///< what chunks are multiples of

/// How shared memory is divided; bytes.
struct PatchWgradLayout {
  int plane;                  ///< of channels, from one to the next
  int filter_plane, filters;  ///< of dy, and where in a stage it begins
  int windows;                ///< where in a stage the table of windows begins
  int stage;
  int taps, barriers;  ///< where the table of taps and the barriers begin
  int total;
  CONVOY_HOST_DEVICE int zeros() const { return plane - patch_chunk; }
};
/// For patches that hold up to `patch_pixels`.
inline PatchWgradLayout patch_wgrad_layout(const PatchWgradTile& tile, int patch_pixels) {
  PatchWgradLayout layout{};
  layout.plane = ((patch_pixels + 1) | 1) * patch_chunk;
  layout.filter_plane = (tile.pixels | 1) * patch_chunk;
  layout.filters = tile.channels() / 8 * layout.plane;
  layout.windows = layout.filters + tile.filters() / 8 * layout.filter_plane;
  layout.stage = layout.windows + tile.pixels * static_cast<int>(sizeof(PatchWindow));
  layout.taps = tile.stages * layout.stage;
  layout.barriers = layout.taps + tile.taps() * static_cast<int>(sizeof(PatchTap));
  layout.total = layout.barriers + tile.stages * ring_bytes;
  return layout;
}

inline PatchWgradLayout wgrad_layout(const ConvShape& shape, const PatchWgradTile& tile) {
  const Gather<char> x = forward_gather<char>(shape, nullptr);
  const PatchedGather<char> source{x, static_cast<int>(shape.n * shape.in.pixels())};
  return patch_wgrad_layout(tile, source.largest_patch(tile.pixels));
}

// Whether patches suit a product: windows read them in order, the patches of the smallest tile fit a
// multiprocessor, and few of their pixels are unread (limits measured on an H200 against HalfFamily). The
// shape alone decides, since another family's kernels give other bits.
inline bool fits_reference(int bytes) {
  return bytes <= reference_gpu.shared_bytes_per_block;
}
inline bool patches_suit_forward(const ConvShape& shape) {
  const bool strided = shape.stride != Axes{1, 1, 1};
  if (strided && (shape.taps() == 1 || shape.in.c > channel_block)) return false;
  const Gather<char> x = forward_gather<char>(shape, nullptr);
  return PatchedGather<char>{x, 0}.in_order();
}
inline bool patches_suit_fprop(const ConvShape& shape) {
  return patches_suit_forward(shape) && fits_reference(fprop_layout(shape, least_patch_tile).total);
}
inline bool patches_suit_dgrad(const ConvShape& shape) {
  for (const DgradClass<char>& cls : dgrad_classes<char>(shape, nullptr)) {
    if (!PatchedGather<char>{cls.gather, 0}.in_order()) return false;
  }
  return fits_reference(dgrad_layout(shape, least_patch_tile).total);
}
inline bool patches_suit_wgrad(const ConvShape& shape) {
  constexpr std::int64_t most_weights_of_one_tap = 1 << 15;
  if (shape.taps() == 1 && shape.weights() > most_weights_of_one_tap) return false;
  return patches_suit_forward(shape) && fits_reference(wgrad_layout(shape, patch_wgrad_kernels.back()).total);
}

/// The first tile of the kind that suits the shape.
inline std::size_t wgrad_tile(const ConvShape& shape) {
  return shape.taps() > 2 ? wgrad_many_taps : shape.in.c > 64 ? wgrad_wide_channels : wgrad_narrow_channels;
}

/// From the shape alone: splits set the order of the sum.
inline WgradPlan plan_patch_wgrad(const ConvShape& shape) {
  constexpr double start_and_end = 6000;
  const PatchWgradTile& tile = patch_wgrad_kernels[wgrad_tile(shape)];
  const double cycles_per_step = 36.0 * tile.taps() * tile.channels() * tile.filters() / 4096;
  const std::int64_t tiles = ceil_div(shape.in.c, tile.channels()) * ceil_div(shape.k, tile.filters()) *
                             ceil_div(shape.taps(), tile.taps());
  return cheapest_splits(
      shape, wgrad_pixels, 4 * reference_gpu.multiprocessors, [&](int splits, std::int64_t chunk) {
        const auto per_sm = static_cast<double>(ceil_div(tiles * splits, reference_gpu.multiprocessors));
        return per_sm * (start_and_end + static_cast<double>(chunk / 16) * cycles_per_step);
      });
}

}  // namespace convoy
