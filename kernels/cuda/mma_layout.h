// Where the tensor-core product keeps its operands in shared memory, and which elements a lane gives to and
// gets from `mma.sync`. No CUDA here, so that tests reach it without a GPU.
//
// Shared memory is counted in chunks of 16 bytes, what cp.async copies and ldmatrix takes as the row of an
// 8 × 8 matrix. Of eight lanes that move a chunk each, no two may meet in the 32 banks of 4 bytes: so a
// chunk's index is XORed with one that follows from its row.
//
// mma.sync counts eight rows (columns) g = lane / 4 and four places t = lane % 4 along K, per half of its K.
// Which rows of the operand these are is ours to choose: rows of four matrices side by side make a group of
// 32, in an order that depends on the element type's size.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace convoy::mma {

constexpr int chunk_bytes = 16;
constexpr int chunks_per_row = 8;  ///< of a stage along K, where an operand is contiguous along K
constexpr int group_rows = 32;     ///< rows of A, or columns of B, that a warp reads together
constexpr int group_matrices = 4;

/// Elements of 4 bytes, which ldmatrix cannot transpose: row g of matrix j is 4 · place_of(g) + j. A lane
/// then reads its rows of an operand contiguous along M or N in one 16-byte access, and holds four neighbours
/// of the product.
struct QuadOrder {
  /// The quad of rows that row g of each matrix belongs to: neighbours g, g + 1 are 16 rows apart, so that
  /// the stores of four lanes fill 64 bytes.
  CONVOY_HOST_DEVICE static constexpr int place_of(int g) { return g / 2 + g % 2 * 4; }
  CONVOY_HOST_DEVICE static constexpr int row(int g, int matrix) { return 4 * place_of(g) + matrix; }
  /// Eight lanes write along K, and read eight quads of rows at the same K.
  CONVOY_HOST_DEVICE static constexpr int row_swizzle(int at) { return at / 4 % 8; }
  /// Eight lanes read two chunks, four apart, at four places along K.
  CONVOY_HOST_DEVICE static constexpr int column_swizzle(int k, int) { return k % 4; }
};

/// Elements of 2 bytes: row g of matrix j is 8 j + g, eight neighbours that a chunk holds along M or N and
/// that ldmatrix transposes.
struct NaturalOrder {
  CONVOY_HOST_DEVICE static constexpr int row(int g, int matrix) { return 8 * matrix + g; }
  CONVOY_HOST_DEVICE static constexpr int row_swizzle(int at) { return at % 8; }
  /// Eight lanes read one chunk at eight places along K, of which 8 / extent_chunks share 128 bytes.
  CONVOY_HOST_DEVICE static constexpr int column_swizzle(int k, int extent_chunks) {
    return extent_chunks < 8 ? k / (8 / extent_chunks) % extent_chunks : k % 8;
  }
};

/// Chunk of row `row` (of A, or column of B) at `chunk` along K.
template <class Order>
CONVOY_HOST_DEVICE constexpr int rows_chunk(int row, int chunk) {
  return row * chunks_per_row + (chunk ^ Order::row_swizzle(row));
}
/// Chunk `chunk` along M or N at place `k`, where `extent_chunks` (a power of two) are contiguous.
template <class Order>
CONVOY_HOST_DEVICE constexpr int columns_chunk(int k, int chunk, int extent_chunks) {
  return k * extent_chunks + (chunk ^ Order::column_swizzle(k, extent_chunks));
}

/// How `threads` fill a stage of an operand contiguous along M or N with one cursor along K each: `lanes`
/// threads share a place along K and thread `lane` of them copies chunk columns_turn(...) in turn i. Rows
/// differ in where they begin, so that eight threads write to distinct banks whatever `lanes` (2, 4, 8…; with
/// one, NaturalOrder's swizzle sees to it), where eight or more chunks are contiguous.
CONVOY_HOST_DEVICE constexpr int columns_turn(int k, int lane, int i, int lanes, int extent_chunks) {
  const int width = extent_chunks < 8 ? extent_chunks : 8;
  const int rows = 1 < lanes && lanes < width ? width / lanes : 1;  // whose turns differ
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
