// How a convolution's matrix products are cut into blocks. Plain C++: tests reach it without a GPU.
//
// The tile may depend on the device, because it never changes a bit. The number of splits changes the order
// of a sum and therefore follows from the shape alone, planned for the reference machine below whatever GPU
// runs it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/ceil_div.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/cuda/device.h"
#include "kernels/conv/cuda/mma/tiles.h"
#include "kernels/conv/cuda/simt/tiles.h"
#include "kernels/conv/cuda/wgmma/tiles.h"

namespace convoy {

/// The unit that multiplies: its tiles, multiply-adds per clock of a multiprocessor, and the K step of its
/// kernels.
struct MathUnit {
  std::span<const TileShape> tiles;
  double fma_per_cycle;
  int step;
};
constexpr MathUnit ffma_cores{ffma_tiles, 128, 16}, tf32_tensor_cores{tf32_tiles, 600, 32},
    half_tensor_cores{half_tiles, 1200, 64}, turing_tensor_cores{turing_tiles, 512, 64},
    warpgroups{patch_tiles, 1700, 64}, wgrad_warpgroups{patch_wgrad_tiles, 1000, 128};

/// Plans that fix the order of a sum are made for this GPU.
constexpr Gpu reference_gpu{132, 227 << 10};

/// Clock cycles, roughly, for out (m,n) = A (m,k) B (k,n), each of `splits` blocks summing a part of k.
inline double gemm_cycles(const MathUnit& unit, const TileShape& tile, std::int64_t m, std::int64_t n,
                          std::int64_t k, int splits, const Gpu& gpu) {
  const auto blocks = static_cast<double>(ceil_div(m, tile.m) * ceil_div(n, tile.n) * splits);
  const double per_sm = std::ceil(blocks / gpu.multiprocessors);
  // Below eight warps a multiprocessor waits for its own multiply-adds and loads.
  const double busy = std::min(1.0, per_sm * tile.threads / 256.0);
  const double fma_per_cycle = unit.fma_per_cycle * tile.efficiency * busy, start_and_end = 2000;
  return start_and_end +
         per_sm * tile.m * tile.n * std::ceil(static_cast<double>(k) / splits) / fma_per_cycle;
}

inline bool fits(const TileShape& tile, const Gpu& gpu) {
  return tile.shared_bytes <= gpu.shared_bytes_per_block;
}

/// Index into unit.tiles, of those that suits(tile) is true of.
template <class Suits>
std::size_t pick_tile(const MathUnit& unit, std::int64_t m, std::int64_t n, std::int64_t k, int splits,
                      const Gpu& gpu, Suits suits) {
  const auto cycles = [&](const TileShape& tile) {
    return suits(tile) ? gemm_cycles(unit, tile, m, n, k, splits, gpu) : HUGE_VAL;
  };
  return static_cast<std::size_t>(
      std::min_element(unit.tiles.begin(), unit.tiles.end(),
                       [&](const auto& a, const auto& b) { return cycles(a) < cycles(b); }) -
      unit.tiles.begin());
}
inline std::size_t pick_tile(const MathUnit& unit, std::int64_t m, std::int64_t n, std::int64_t k, int splits,
                             const Gpu& gpu) {
  return pick_tile(unit, m, n, k, splits, gpu, [&](const TileShape& tile) { return fits(tile, gpu); });
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

inline WgradPlan plan_wgrad(const ConvShape& shape, const MathUnit& unit = ffma_cores) {
  const std::int64_t pixels = shape.n * shape.out().pixels(), columns = shape.taps() * shape.in.c;
  return cheapest_splits(shape, unit.step, 512, [&](int splits, std::int64_t) {
    const std::size_t tile = pick_tile(unit, shape.k, columns, pixels, splits, reference_gpu);
    return gemm_cycles(unit, unit.tiles[tile], shape.k, columns, pixels, splits, reference_gpu);
  });
}

constexpr int first_layer_threads = 256;

/// How a wgrad block divides its threads: filter quads × groups of `taps_per_group` columns × pixels side by
/// side.
constexpr int taps_per_group = 9, padded_group = 12, first_layer_shared_floats = 6144;
constexpr int first_layer_most_columns = 48 * taps_per_group;  ///< leaves eight pixels a stage
inline bool is_first_layer(const ConvShape& shape) {
  return shape.in.c <= 4 && shape.taps() * shape.in.c <= first_layer_most_columns;
}
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
  const int all_quads = ceil_div(shape.k, 4);
  plan.quads = std::min(all_quads, first_layer_threads / plan.groups);
  plan.filter_blocks = ceil_div(all_quads, plan.quads);
  plan.pixel_lanes = first_layer_threads / (plan.quads * plan.groups);
  plan.stage = static_cast<int>(std::bit_floor(
      static_cast<unsigned>(std::min(128, first_layer_shared_floats / (plan.groups * padded_group)))));
  const std::int64_t wanted = std::clamp<std::int64_t>(pixels / 128, 1, most_splits);
  plan.chunk = static_cast<int>(ceil_div(std::max<std::int64_t>(1, ceil_div(pixels, wanted)), step) * step);
  plan.splits = static_cast<int>(std::max<std::int64_t>(1, ceil_div(pixels, plan.chunk)));
  return plan;
}

}  // namespace convoy
