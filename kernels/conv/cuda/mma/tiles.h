// The tiles of the kernels by mma.sync (mma/mma_gemm.cuh); see simt/tiles.h. Plain C++.
#pragma once

#include "kernels/conv/cuda/tile_shape.h"

namespace convoy {

struct WarpTile {
  int m, n;            ///< of a block
  int warp_m, warp_n;  ///< of a warp
  int blocks_per_sm, stages;
  int percent;  ///< TileShape::efficiency
  constexpr int threads() const { return 32 * (m / warp_m) * (n / warp_n); }
  constexpr int shared_bytes() const { return stages * (m + n) * 128; }  ///< 128 bytes along K
  constexpr TileShape shape() const { return {m, n, threads(), percent / 100.0, shared_bytes()}; }
};

constexpr std::array<WarpTile, 7> tf32_kernels = {{{256, 128, 64, 64, 1, 3, 100},
                                                   {128, 128, 64, 64, 2, 3, 95},
                                                   {128, 64, 64, 32, 3, 3, 75},
                                                   {64, 128, 32, 64, 2, 3, 75},
                                                   {64, 64, 32, 32, 4, 3, 60},
                                                   {128, 32, 32, 32, 3, 3, 50},
                                                   {64, 32, 32, 32, 5, 3, 45}}};
constexpr auto tf32_tiles = shapes_of(tf32_kernels);

constexpr std::array<WarpTile, 9> half_kernels = {{{256, 128, 64, 64, 1, 3, 100},
                                                   {128, 128, 64, 64, 2, 3, 95},
                                                   {128, 64, 64, 32, 2, 3, 75},
                                                   {64, 128, 32, 64, 2, 3, 75},
                                                   {64, 64, 32, 32, 3, 3, 60},
                                                   {128, 32, 32, 32, 3, 3, 50},
                                                   {64, 32, 32, 32, 5, 3, 45},
                                                   {256, 64, 64, 64, 2, 2, 85},
                                                   {128, 256, 64, 64, 1, 3, 100}}};
constexpr auto half_tiles = shapes_of(half_kernels);

/// Two stages: as much shared memory as sm_75 has.
constexpr std::array<WarpTile, 3> turing_kernels = {
    {{128, 64, 64, 32, 1, 2, 100}, {64, 64, 32, 32, 2, 2, 80}, {64, 32, 32, 32, 2, 2, 60}}};
constexpr auto turing_tiles = shapes_of(turing_kernels);

}  // namespace convoy
