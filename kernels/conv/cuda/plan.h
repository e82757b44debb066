// How a convolution's matrix products are cut into blocks. Plain C++: tests reach it without a GPU.
//
// The tile may depend on the device, because it never changes a bit. The number of splits changes the order
// of a sum and therefore follows from the shape alone, planned for the reference machine below whatever GPU
// runs it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/conv/conv.h"
#include "src/core/ceil_div.h"

namespace convoy {

struct TileShape {
  int m, n, threads;
  double efficiency;  ///< share of the cores' peak that a full machine reaches, estimated; only ratios matter
  int shared_bytes = 0;  ///< where they exceed what every GPU gives a block
};
// In the order of the kernels that have them (families.cuh).
constexpr std::array<TileShape, 5> ffma_tiles = {{{128, 128, 256, 1.0},
                                                  {128, 64, 128, 0.95},
                                                  {64, 64, 128, 0.85},
                                                  {128, 32, 128, 0.75},
                                                  {64, 32, 128, 0.65}}};
constexpr int mma_stage_bytes(int m, int n, int stages = 3) {
  return stages * (m + n) * 128;  // 128 bytes along K
}
constexpr std::array<TileShape, 7> tf32_tiles = {{{256, 128, 256, 1.0, mma_stage_bytes(256, 128)},
                                                  {128, 128, 128, 0.95, mma_stage_bytes(128, 128)},
                                                  {128, 64, 128, 0.75, mma_stage_bytes(128, 64)},
                                                  {64, 128, 128, 0.75, mma_stage_bytes(64, 128)},
                                                  {64, 64, 128, 0.6, mma_stage_bytes(64, 64)},
                                                  {128, 32, 128, 0.5, mma_stage_bytes(128, 32)},
                                                  {64, 32, 64, 0.45, mma_stage_bytes(64, 32)}}};
constexpr std::array<TileShape, 9> half_tiles = {{{256, 128, 256, 1.0, mma_stage_bytes(256, 128)},
                                                  {128, 128, 128, 0.95, mma_stage_bytes(128, 128)},
                                                  {128, 64, 128, 0.75, mma_stage_bytes(128, 64)},
                                                  {64, 128, 128, 0.75, mma_stage_bytes(64, 128)},
                                                  {64, 64, 128, 0.6, mma_stage_bytes(64, 64)},
                                                  {128, 32, 128, 0.5, mma_stage_bytes(128, 32)},
                                                  {64, 32, 64, 0.45, mma_stage_bytes(64, 32)},
                                                  {256, 64, 128, 0.85, mma_stage_bytes(256, 64, 2)},
                                                  {128, 256, 256, 1.0, mma_stage_bytes(128, 256)}}};
constexpr std::array<TileShape, 3> turing_tiles = {{{128, 64, 128, 1.0, mma_stage_bytes(128, 64, 2)},
                                                    {64, 64, 128, 0.8, mma_stage_bytes(64, 64, 2)},
                                                    {64, 32, 64, 0.6, mma_stage_bytes(64, 32, 2)}}};

// Of warpgroups; what they need of shared memory depends on the shape (wgmma/layout.h).
constexpr std::array<TileShape, 10> patch_tiles = {{{256, 128, 512, 1.0},
                                                    {128, 128, 256, 0.95},
                                                    {128, 256, 256, 0.95},
                                                    {256, 64, 256, 0.9},
                                                    {128, 64, 256, 0.75},
                                                    {64, 128, 128, 0.7},
                                                    {64, 64, 128, 0.6},
                                                    {256, 32, 256, 0.6},
                                                    {128, 32, 256, 0.5},
                                                    {128, 64, 128, 0.75}}};
/// A block of wgrad by warpgroups, which divide its 64s of channels, `columns`-s of filters and `tap_run`-s
/// of taps among themselves.
struct PatchWgradTile {
  int pixels, stages;  ///< of a step, and steps in shared memory
  int channel_groups, filter_groups, tap_groups;
  int columns, tap_run;
  constexpr int groups() const { return channel_groups * filter_groups * tap_groups; }
  constexpr int channels() const { return 64 * channel_groups; }
  constexpr int filters() const { return columns * filter_groups; }
  constexpr int taps() const { return tap_run * tap_groups; }
  constexpr int threads() const { return 128 * groups() + 128; }  ///< a warpgroup copies
};
constexpr std::array<PatchWgradTile, 8> patch_wgrad_kernels = {{{128, 4, 1, 1, 3, 64, 3},
                                                                {128, 3, 1, 1, 3, 64, 3},
                                                                {64, 3, 1, 1, 3, 64, 3},
                                                                {64, 4, 4, 1, 1, 128, 1},
                                                                {64, 4, 2, 2, 1, 128, 1},
                                                                {64, 4, 1, 2, 1, 128, 1},
                                                                {64, 4, 4, 1, 1, 64, 1},
                                                                {64, 3, 1, 1, 1, 64, 1}}};
constexpr std::array<TileShape, patch_wgrad_kernels.size()> patch_wgrad_tiles = [] {
  std::array<TileShape, patch_wgrad_kernels.size()> tiles{};
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const PatchWgradTile& tile = patch_wgrad_kernels[i];
    tiles[i] = {tile.filters(), tile.channels() * tile.taps(), tile.threads(), 1.0};
  }
  return tiles;
}();

/// What multiplies: its tiles, multiply-adds per clock of a multiprocessor, and the K step of its kernels.
struct Cores {
  std::span<const TileShape> tiles;
  double fma_per_cycle;
  int step;
};
constexpr Cores ffma_cores{ffma_tiles, 128, 16}, tf32_tensor_cores{tf32_tiles, 600, 32},
    half_tensor_cores{half_tiles, 1200, 64}, turing_tensor_cores{turing_tiles, 512, 64},
    warpgroups{patch_tiles, 1700, 64}, wgrad_warpgroups{patch_wgrad_tiles, 1000, 128};

struct Gpu {
  int multiprocessors, shared_bytes_per_block;
};
/// Plans that set the order of a sum are made for it.
constexpr Gpu reference_gpu{132, 227 << 10};

/// Clock cycles, roughly, for out (m,n) = A (m,k) B (k,n), each of `splits` blocks summing a part of k.
inline double gemm_cycles(const Cores& cores, const TileShape& tile, std::int64_t m, std::int64_t n,
                          std::int64_t k, int splits, const Gpu& gpu) {
  const auto blocks = static_cast<double>(ceil_div(m, tile.m) * ceil_div(n, tile.n) * splits);
  const double per_sm = std::ceil(blocks / gpu.multiprocessors);
  // Below eight warps a multiprocessor waits for its own multiply-adds and loads.
  const double busy = std::min(1.0, per_sm * tile.threads / 256.0);
  const double fma_per_cycle = cores.fma_per_cycle * tile.efficiency * busy, start_and_end = 2000;
  return start_and_end +
         per_sm * tile.m * tile.n * std::ceil(static_cast<double>(k) / splits) / fma_per_cycle;
}

inline bool fits(const TileShape& tile, const Gpu& gpu) {
  return tile.shared_bytes <= gpu.shared_bytes_per_block;
}

/// Index into cores.tiles, of those that suits(tile) is true of.
template <class Suits>
std::size_t pick_tile(const Cores& cores, std::int64_t m, std::int64_t n, std::int64_t k, int splits,
                      const Gpu& gpu, Suits suits) {
  const auto cycles = [&](const TileShape& tile) {
    return suits(tile) ? gemm_cycles(cores, tile, m, n, k, splits, gpu) : HUGE_VAL;
  };
  return static_cast<std::size_t>(
      std::min_element(cores.tiles.begin(), cores.tiles.end(),
                       [&](const auto& a, const auto& b) { return cycles(a) < cycles(b); }) -
      cores.tiles.begin());
}
inline std::size_t pick_tile(const Cores& cores, std::int64_t m, std::int64_t n, std::int64_t k, int splits,
                             const Gpu& gpu) {
  return pick_tile(cores, m, n, k, splits, gpu, [&](const TileShape& tile) { return fits(tile, gpu); });
}

struct WgradPlan {
  int splits = 1;
  int chunk = 0;  ///< pixels per split, a multiple of every tile's K step
};

/// dw (K, taps·C) summed over n·O·P·Q pixels in the cheapest number of splits, each of a multiple of `step`
/// of them; cycles_of(splits, chunk) are those of the products.
template <class CyclesOf>
WgradPlan cheapest_splits(const ConvShape& shape, int step, int most_splits, CyclesOf cycles_of) {
  constexpr int fewest_pixels = 64;
  constexpr double reference_bytes_per_cycle = 2000;
  const std::int64_t pixels = shape.n * shape.out().pixels();
  WgradPlan best;
  double best_cycles = 0;
  for (int splits = 1; splits <= most_splits; ++splits) {
    const std::int64_t chunk = ceil_div(ceil_div(pixels, splits), step) * step;
    if (splits > 1 && (chunk < fewest_pixels || ceil_div(pixels, chunk) != splits)) continue;
    double cycles = cycles_of(splits, chunk);
    if (splits > 1) cycles += 8.0 * splits * static_cast<double>(shape.weights()) / reference_bytes_per_cycle;
    if (splits == 1 || cycles < best_cycles) best = {splits, static_cast<int>(chunk)}, best_cycles = cycles;
  }
  return best;
}

inline WgradPlan plan_wgrad(const ConvShape& shape, const Cores& cores = ffma_cores) {
  const std::int64_t pixels = shape.n * shape.out().pixels(), columns = shape.taps() * shape.in.c;
  return cheapest_splits(shape, cores.step, 512, [&](int splits, std::int64_t) {
    const std::size_t tile = pick_tile(cores, shape.k, columns, pixels, splits, reference_gpu);
    return gemm_cycles(cores, cores.tiles[tile], shape.k, columns, pixels, splits, reference_gpu);
  });
}

constexpr int first_layer_threads = 256;

/// How a wgrad block divides its threads: filter quads × groups of `taps_per_group` columns × pixels side by
/// side.
constexpr int taps_per_group = 9, padded_group = 12, first_layer_shared_floats = 6144;
constexpr int first_layer_most_columns = 48 * taps_per_group;  ///< leaves eight pixels a stage
struct FirstLayerWgradPlan {
  int quads, groups, pixel_lanes;  ///< per block
  int filter_blocks;               ///< blocks along K
  int stage;                       ///< pixels gathered at once, a power of two
  int splits, chunk;               ///< of the pixels, over blocks
};

/// From the shape alone: lanes, stages and splits all set the order of the sum.
inline FirstLayerWgradPlan plan_first_layer_wgrad(const ConvShape& shape) {
  constexpr int most_splits = 528, step = 64;
  FirstLayerWgradPlan plan{};
  const std::int64_t pixels = shape.n * shape.out().pixels();
  plan.groups = static_cast<int>(ceil_div(shape.taps() * shape.in.c, taps_per_group));
  const int all_quads = static_cast<int>(ceil_div(shape.k, 4));
  plan.quads = std::min(all_quads, first_layer_threads / plan.groups);
  plan.filter_blocks = static_cast<int>(ceil_div(all_quads, plan.quads));
  plan.pixel_lanes = first_layer_threads / (plan.quads * plan.groups);
  plan.stage = static_cast<int>(std::bit_floor(
      static_cast<unsigned>(std::min(128, first_layer_shared_floats / (plan.groups * padded_group)))));
  const std::int64_t wanted = std::clamp<std::int64_t>(pixels / 128, 1, most_splits);
  plan.chunk = static_cast<int>(ceil_div(std::max<std::int64_t>(1, ceil_div(pixels, wanted)), step) * step);
  plan.splits = static_cast<int>(std::max<std::int64_t>(1, ceil_div(pixels, plan.chunk)));
  return plan;
}

}  // namespace convoy
