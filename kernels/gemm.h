// Matrix products on the CPU: choice of the vector kernel at run time, blocking, packing.
//
// B is packed into panels (columns / width, K, width), A is read in place through one pointer per row, so
// that a convolution is a matrix product whose rows point into the image (after Dukhan, "The Indirect
// Convolution Algorithm", 2019). Every element of C is one chain of multiply-adds in the order of K.
#pragma once

#include <cstdint>
#include <span>

#include "core/ceil_div.h"
#include "kernels/gemm_kernel.h"

namespace convoy {

class ThreadPool;

/// The kernels this processor can run, best first.
std::span<const GemmKernel* const> gemm_kernels();
/// The best of them.
inline const GemmKernel& gemm_kernel() {
  return *gemm_kernels().front();
}

/// A multiple of every kernel's width: what packed columns are padded to, whichever kernel reads them.
constexpr std::int64_t padded_columns(std::int64_t columns) {
  return ceil_div(columns, 32) * 32;
}

/// c(i,j) = init(j) + sum_k A(i,k) B(k,j), by the calling thread. Members as in GemmTile.
struct Gemm {
  std::span<const float* const> a;
  std::ptrdiff_t a_step = 1;
  std::span<const GemmSegment> segments;
  const float* b = nullptr;  ///< panel j / width begins at b + j / width * b_panel
  std::ptrdiff_t b_panel = 0;
  std::ptrdiff_t b_step = 0;
  float* const* c = nullptr;
  int columns = 0;
  const float* bias = nullptr;  ///< (columns, padded)
  bool accumulate = false;
};
void gemm(const Gemm& product);

/// panel (depth, width) = B(k, j) = b[k * row_step + j * column_step] for j < columns, zeros beyond.
void pack_panel(float* panel, const float* b, std::int64_t depth, std::ptrdiff_t row_step, int columns,
                std::ptrdiff_t column_step);

/// A matrix in memory: element (i,j) is data[i * row_step + j * column_step].
struct MatrixView {
  const float* data = nullptr;
  std::ptrdiff_t row_step = 0, column_step = 1;
};

/// c (rows, columns) = a (rows, depth) b (depth, columns) + bias (columns, or null), by all threads.
/// `scratch` holds matrix_product_scratch floats.
void matrix_product(ThreadPool& threads, std::int64_t rows, int columns, std::int64_t depth, MatrixView a,
                    MatrixView b, const float* bias, float* c, float* scratch);
constexpr std::int64_t matrix_product_scratch(std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  return padded_columns(columns) * (depth + 1) + rows * depth;
}

}  // namespace convoy
