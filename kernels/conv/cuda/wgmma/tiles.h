// The tiles of the kernels by warpgroups (wgmma/fprop_dgrad.cuh, wgmma/wgrad.cuh); see simt/tiles.h. What
// they need of shared memory depends on the shape (wgmma/layout.h). Plain C++.
#pragma once

#include "kernels/conv/cuda/tile_shape.h"

namespace convoy {

/// Of fprop and dgrad: windows × columns by warpgroups that divide the windows among themselves.
struct PatchKernel {
  int m, n, groups, blocks_per_sm;
  int percent;  ///< TileShape::efficiency
  constexpr int threads() const { return 128 * groups; }
  constexpr TileShape shape() const { return {m, n, threads(), percent / 100.0}; }
};
constexpr std::array<PatchKernel, 10> patch_kernels = {{{256, 128, 4, 1, 100},
                                                        {128, 128, 2, 2, 95},
                                                        {128, 256, 2, 1, 95},
                                                        {256, 64, 2, 2, 90},
                                                        {128, 64, 2, 3, 75},
                                                        {64, 128, 1, 3, 70},
                                                        {64, 64, 1, 4, 60},
                                                        {256, 32, 2, 2, 60},
                                                        {128, 32, 2, 3, 50},
                                                        {128, 64, 1, 3, 75}}};
constexpr auto patch_tiles = shapes_of(patch_kernels);

/// The tile that needs least shared memory.
constexpr TileShape least_patch_tile = patch_tiles[6];
static_assert(least_patch_tile.m == 64 && least_patch_tile.n == 64);

/// A block of wgrad, whose warpgroups divide its 64s of channels, `columns`-s of filters and `tap_run`-s of
/// taps among themselves.
struct PatchWgradTile {
  int pixels, stages;  ///< of a step, and steps in shared memory
  int channel_groups, filter_groups, tap_groups;
  int columns, tap_run;
  constexpr int groups() const { return channel_groups * filter_groups * tap_groups; }
  constexpr int channels() const { return 64 * channel_groups; }
  constexpr int filters() const { return columns * filter_groups; }
  constexpr int taps() const { return tap_run * tap_groups; }
  constexpr int threads() const { return 128 * groups() + 128; }  ///< a warpgroup copies
  constexpr TileShape shape() const { return {filters(), channels() * taps(), threads(), 1.0}; }
};
/// Of three kinds; where a tile's patches do not fit a device, the next is tried.
constexpr std::array<PatchWgradTile, 8> patch_wgrad_kernels = {{{128, 4, 1, 1, 3, 64, 3},
                                                                {128, 3, 1, 1, 3, 64, 3},
                                                                {64, 3, 1, 1, 3, 64, 3},
                                                                {64, 4, 4, 1, 1, 128, 1},
                                                                {64, 4, 2, 2, 1, 128, 1},
                                                                {64, 4, 1, 2, 1, 128, 1},
                                                                {64, 4, 4, 1, 1, 64, 1},
                                                                {64, 3, 1, 1, 1, 64, 1}}};
constexpr auto patch_wgrad_tiles = shapes_of(patch_wgrad_kernels);

/// Where the kinds begin: for three taps and more, and for fewer taps of more than 64 channels or of fewer.
constexpr std::size_t wgrad_many_taps = 0, wgrad_wide_channels = 3, wgrad_narrow_channels = 5;
static_assert(patch_wgrad_kernels[wgrad_many_taps].taps() == 9 &&
              patch_wgrad_kernels[wgrad_wide_channels].channels() == 256 &&
              patch_wgrad_kernels[wgrad_narrow_channels].channels() == 64);

}  // namespace convoy
