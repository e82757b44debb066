// The innermost tile of every matrix product and convolution on the CPU, as a template over the vector type.
//
// Included by files that are compiled for different instruction sets, so nothing here may be shared between
// them: plain structs, and one template whose argument each file defines in an anonymous namespace. No
// standard library beyond <cstddef>, whose inline functions the linker would take from any of those files.
#pragma once

#include <cstddef>

namespace convoy {

/// A run of the reduction: for k < length, A(i,k) = a[i][this->a + k * a_step] meets row this->b + k of B.
struct GemmSegment {
  std::ptrdiff_t a = 0, b = 0;
  int length = 0;
};

/// c(i,j) = init(j) + sum over the segments of A(i,k) B(k,j), in the order of the segments, one fused
/// multiply-add after the other: the bits depend neither on the tile nor on where the reduction is cut and
/// resumed.
struct GemmTile {
  const float* const* a = nullptr;  ///< one pointer per row
  std::ptrdiff_t a_step = 1;
  const float* b = nullptr;  ///< as many readable columns as the kernel is wide
  std::ptrdiff_t b_step = 0;
  const GemmSegment* segments = nullptr;
  int segment_count = 0;
  float* const* c = nullptr;  ///< one pointer per row
  std::ptrdiff_t c_offset = 0;
  int columns = 0;              ///< of c that may be touched
  const float* bias = nullptr;  ///< init, as wide as the kernel; null: zeros
  bool accumulate = false;      ///< init = c
};

/// Tiles of up to `rows` rows and `columns` columns; run[i] does those of i + 1 rows.
struct GemmKernel {
  const char* name;
  int rows, columns;
  void (*const* run)(const GemmTile&);
};

/// `Vector` has Type, width and static load, store, broadcast and multiply_add.
template <class Vector, int rows>
void gemm_tile(const GemmTile& tile) {
  constexpr int width = Vector::width, columns = 2 * width;
  const bool whole = tile.columns == columns;
  alignas(64) float edge[rows][columns];
  const float* a[rows];
  float* c[rows];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    a[i] = tile.a[i];
    c[i] = whole ? tile.c[i] + tile.c_offset : edge[i];
  }
  typename Vector::Type sum[rows][2];
  if (tile.accumulate) {
    if (!whole) {
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) edge[i][j] = j < tile.columns ? tile.c[i][tile.c_offset + j] : 0.0f;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      sum[i][0] = Vector::load(c[i]);
      sum[i][1] = Vector::load(c[i] + width);
    }
  } else {
    const float zero = 0.0f;
    const auto first = tile.bias ? Vector::load(tile.bias) : Vector::broadcast(&zero);
    const auto second = tile.bias ? Vector::load(tile.bias + width) : Vector::broadcast(&zero);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      sum[i][0] = first;
      sum[i][1] = second;
    }
  }
  const std::ptrdiff_t a_step = tile.a_step, b_step = tile.b_step;
  for (const GemmSegment *segment = tile.segments, *end = segment + tile.segment_count; segment != end;
       ++segment) {
    const float* b = tile.b + segment->b * b_step;
    std::ptrdiff_t k = segment->a;
    for (int left = segment->length; left > 0; --left) {
      const auto first = Vector::load(b);
      const auto second = Vector::load(b + width);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const auto value = Vector::broadcast(a[i] + k);
        sum[i][0] = Vector::multiply_add(value, first, sum[i][0]);
        sum[i][1] = Vector::multiply_add(value, second, sum[i][1]);
      }
      b += b_step;
      k += a_step;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    Vector::store(c[i], sum[i][0]);
    Vector::store(c[i] + width, sum[i][1]);
  }
  if (!whole) {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < tile.columns; ++j) tile.c[i][tile.c_offset + j] = edge[i][j];
    }
  }
}

}  // namespace convoy
