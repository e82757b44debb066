// Where the tensor-core product keeps its operands in shared memory, and which elements a lane gives to and
// gets from `mma.sync`. No CUDA here, so that tests reach it without a GPU.
//
// Shared memory is counted in chunks of 16 bytes, what cp.async copies and ldmatrix takes as the row of an
// 8 × 8 matrix. Of eight lanes that move a chunk each, no two may meet in the 32 banks of 4 bytes: so a
// chunk's index is XORed with one that follows from its row.
//
// mma.sync counts eight rows (columns) g = lane / 4 and four places t = lane % 4 along K, per half of its K.
// Which rows of the operand these are is ours to choose: here those of four matrices side by side make a
// group of 32, in which row g of matrix j is 4 · place_of(g) + j. A lane then reads its rows of a K-major
// operand in one 16-byte access, and holds four neighbours of the product, which leave in one store.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "src/core/random.h"  // CONVOY_HOST_DEVICE

namespace convoy::mma {

constexpr int chunk_bytes = 16;
constexpr int chunks_per_row = 8;  ///< of a stage along K, where an operand is contiguous along K
constexpr int group_rows = 32;     ///< rows of A, or columns of B, that a warp reads together
constexpr int group_matrices = 4;

/// Chunk of row `row` (of A, or column of B) at `chunk` along K; eight lanes write along K, and read eight
/// quads of rows at the same K.
CONVOY_HOST_DEVICE constexpr int rows_chunk(int row, int chunk) {
  return row * chunks_per_row + (chunk ^ (row / 4 % 8));
}
/// Chunk `chunk` along M or N at place `k`, where `extent_chunks` (a multiple of eight) are contiguous; eight
/// lanes read two chunks, four apart, at four places along K.
CONVOY_HOST_DEVICE constexpr int columns_chunk(int k, int chunk, int extent_chunks) {
  return k * extent_chunks + (chunk ^ (k % 4));
}

/// The quad of rows that row g of each matrix belongs to: neighbours g, g + 1 are 16 rows apart, so that the
/// stores of four lanes fill 64 bytes.
CONVOY_HOST_DEVICE constexpr int place_of(int g) {
  return g / 2 + g % 2 * 4;
}
CONVOY_HOST_DEVICE constexpr int group_row(int g, int matrix) {
  return 4 * place_of(g) + matrix;
}

/// How `threads` fill a stage of an operand contiguous along M or N with one cursor along K each: `lanes`
/// threads share a place along K and thread `lane` of them copies chunk columns_turn(...) in turn i. Rows
/// differ in where they begin, so that eight threads write to distinct banks whatever `lanes` (2, 4, 8…).
CONVOY_HOST_DEVICE constexpr int columns_turn(int k, int lane, int i, int lanes) {
  const int rows = lanes < 8 ? 8 / lanes : 1;  // that eight threads write at once
  return lane + lanes * (i ^ (k % rows));
}

/// f32 whose upper 19 bits are `value` rounded to TF32, to nearest, ties away from zero: what
/// cvt.rna.tf32.f32 gives, which takes five instructions where this takes two. The tensor cores ignore the
/// lower 13 bits. Half of TF32's last place is 2^-11 of the value's power of two; infinities and NaNs stay
/// what they are, and subnormal numbers are cut off.
CONVOY_HOST_DEVICE inline float nearly_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto power = std::bit_cast<float>(bits & 0xff800000u);
  return fmaf(power, 0x1p-11f, value);
}

}  // namespace convoy::mma
