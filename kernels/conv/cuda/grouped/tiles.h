// The tiles of grouped convolutions: those of mma/tiles.h and simt/tiles.h that are as narrow as a bundle.
// Plain C++. They are picked by the cost model and not measured, so no tile cache refers to these tables.
#pragma once

#include "kernels/conv/cuda/mma/tiles.h"
#include "kernels/conv/cuda/simt/tiles.h"

namespace convoy {

constexpr std::array<SimtTile, 3> grouped_ffma_kernels = {
    {ffma_kernels[1], ffma_kernels[2], ffma_kernels[4]}};
constexpr auto grouped_ffma_tiles = shapes_of(grouped_ffma_kernels);

constexpr std::array<WarpTile, 4> grouped_tf32_kernels = {
    {tf32_kernels[2], tf32_kernels[3], tf32_kernels[4], tf32_kernels[5]}};
constexpr auto grouped_tf32_tiles = shapes_of(grouped_tf32_kernels);

constexpr std::array<WarpTile, 5> grouped_half_kernels = {
    {half_kernels[7], half_kernels[2], half_kernels[3], half_kernels[4], half_kernels[5]}};
constexpr auto grouped_half_tiles = shapes_of(grouped_half_kernels);

constexpr auto grouped_turing_kernels = turing_kernels;
constexpr auto grouped_turing_tiles = shapes_of(grouped_turing_kernels);

}  // namespace convoy
