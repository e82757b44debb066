// The tiles of the FFMA kernels (simt/simt_gemm.cuh). Plain C++.
//
// Users' tile caches store indices into a table. tile_tables_id() (tile_choice.h) changes with the tables, so
// that a cache of other tables is not used. An element is the kernel's template arguments, so that table and
// kernels cannot differ.
#pragma once

#include "kernels/conv/cuda/tile_shape.h"

namespace convoy {

struct SimtTile {
  int m, n, k_step;        ///< of a block
  int thread_m, thread_n;  ///< of a thread
  int blocks_per_sm;
  int percent;  ///< TileShape::efficiency
  constexpr int threads() const { return 32 * (m / (4 * thread_m)) * (n / (8 * thread_n)); }
  constexpr TileShape shape() const { return {m, n, threads(), percent / 100.0}; }
};

constexpr std::array<SimtTile, 5> ffma_kernels = {{{128, 128, 16, 8, 8, 2, 100},
                                                   {128, 64, 8, 8, 8, 3, 95},
                                                   {64, 64, 16, 8, 4, 4, 85},
                                                   {128, 32, 16, 8, 4, 4, 75},
                                                   {64, 32, 16, 4, 4, 6, 65}}};
constexpr auto ffma_tiles = shapes_of(ffma_kernels);

/// The one tile for channels that come one by one.
constexpr std::array<SimtTile, 1> scalar_kernels = {{{64, 64, 16, 8, 4, 4, 100}}};

}  // namespace convoy
