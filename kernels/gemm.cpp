// Dispatch and blocking of matrix products; the tile of a processor without AVX2.
#include "kernels/gemm.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/ceil_div.h"
#include "core/error.h"
#include "core/thread_pool.h"

namespace convoy {

extern const GemmKernel gemm_avx2, gemm_avx512;

namespace {

/// Four floats in any baseline's 128-bit registers. Multiply and add round separately where the baseline has
/// no fused instruction, so this kernel's last bits differ from those of the others.
struct Baseline {
  typedef float Type __attribute__((vector_size(16)));
  typedef float Unaligned __attribute__((vector_size(16), aligned(4)));
  static constexpr int width = 4;
  static Type load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static void store(float* p, Type v) { *reinterpret_cast<Unaligned*>(p) = v; }
  static Type broadcast(const float* p) { return Type{*p, *p, *p, *p}; }
  static Type multiply_add(Type a, Type b, Type c) { return a * b + c; }
};

constexpr void (*tiles[])(const GemmTile&) = {gemm_tile<Baseline, 1>, gemm_tile<Baseline, 2>,
                                              gemm_tile<Baseline, 3>, gemm_tile<Baseline, 4>,
                                              gemm_tile<Baseline, 5>, gemm_tile<Baseline, 6>};
constexpr GemmKernel gemm_baseline{"baseline", 6, 8, tiles};

/// Steps of the reduction per pass over the rows: a panel of B this long stays in the first-level cache.
constexpr std::int64_t depth_block = 320;

/// As pack_panel, for a width known to the compiler, so that whole rows are vector moves.
template <int width>
void pack(float* panel, const float* b, std::int64_t depth, std::ptrdiff_t row_step, int columns,
          std::ptrdiff_t column_step) {
  std::int64_t k = 0;
  if (columns == width && column_step == 1) {
    for (; k < depth; ++k) std::memcpy(panel + k * width, b + k * row_step, width * sizeof(float));
  } else if (columns == width && row_step == 1) {
    for (; k + 4 <= depth; k += 4) {
      for (int j = 0; j < width; j += 4) {
        const float* from = b + k + j * column_step;
        float* to = panel + k * width + j;
        __m128 r0 = _mm_loadu_ps(from), r1 = _mm_loadu_ps(from + column_step);
        __m128 r2 = _mm_loadu_ps(from + 2 * column_step), r3 = _mm_loadu_ps(from + 3 * column_step);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_storeu_ps(to, r0), _mm_storeu_ps(to + width, r1);
        _mm_storeu_ps(to + 2 * width, r2), _mm_storeu_ps(to + 3 * width, r3);
      }
    }
  }
  for (; k < depth; ++k) {
    for (int j = 0; j < width; ++j)
      panel[k * width + j] = j < columns ? b[k * row_step + j * column_step] : 0.0f;
  }
}

}  // namespace

std::span<const GemmKernel* const> gemm_kernels() {
  static const auto all = [] {
    __builtin_cpu_init();
    std::vector<const GemmKernel*> usable;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
      usable.push_back(&gemm_avx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) usable.push_back(&gemm_avx2);
    usable.push_back(&gemm_baseline);
    return usable;
  }();
  return all;
}

void gemm(const Gemm& product) {
  const GemmKernel& kernel = gemm_kernel();
  const auto rows = static_cast<std::int64_t>(product.a.size());
  const auto segments = static_cast<std::int64_t>(product.segments.size());
  std::int64_t depth = 0;
  for (const GemmSegment& segment : product.segments) depth += segment.length;
  const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(depth, depth_block));
  const std::int64_t block_depth = std::max<std::int64_t>(1, ceil_div(depth, blocks));

  GemmTile tile;
  tile.a_step = product.a_step;
  tile.b_step = product.b_step;
  tile.accumulate = product.accumulate;
  const auto run = [&](std::int64_t i, int j) {
    tile.a = product.a.data() + i;
    tile.b = product.b + j / kernel.columns * product.b_panel;
    tile.c = product.c + i;
    tile.c_offset = j;
    tile.columns = std::min(kernel.columns, product.columns - j);
    tile.bias = product.bias ? product.bias + j : nullptr;
    kernel.run[std::min<std::int64_t>(kernel.rows, rows - i) - 1](tile);
  };
  std::int64_t first = 0;
  do {
    std::int64_t last = first;
    for (std::int64_t length = 0; last < segments && length < block_depth; ++last) {
      length += product.segments[last].length;
    }
    tile.segments = product.segments.data() + first;
    tile.segment_count = static_cast<int>(last - first);
    if (product.a_step == 1) {  // a panel of B stays in the first-level cache
      for (int j = 0; j < product.columns; j += kernel.columns) {
        for (std::int64_t i = 0; i < rows; i += kernel.rows) run(i, j);
      }
    } else {  // the strided rows of A do, and B streams
      for (std::int64_t i = 0; i < rows; i += kernel.rows) {
        for (int j = 0; j < product.columns; j += kernel.columns) run(i, j);
      }
    }
    tile.accumulate = true;
    first = last;
  } while (first < segments);
}

void pack_panel(float* panel, const float* b, std::int64_t depth, std::ptrdiff_t row_step, int columns,
                std::ptrdiff_t column_step) {
  switch (gemm_kernel().columns) {
    case 8:
      return pack<8>(panel, b, depth, row_step, columns, column_step);
    case 16:
      return pack<16>(panel, b, depth, row_step, columns, column_step);
    case 32:
      return pack<32>(panel, b, depth, row_step, columns, column_step);
  }
  fail("internal error: no packing for a kernel {} columns wide", gemm_kernel().columns);
}

void matrix_product(ThreadPool& threads, std::int64_t rows, int columns, std::int64_t depth, MatrixView a,
                    MatrixView b, const float* bias, float* c, float* scratch) {
  if (rows == 0 || columns == 0) return;
  const GemmKernel& kernel = gemm_kernel();
  const int width = kernel.columns;
  const std::int64_t panels = ceil_div(columns, width), blocks = ceil_div(depth, depth_block);
  constexpr std::int64_t row_block = 48;                    // a multiple of every kernel's rows
  const std::int64_t group = columns >= 1024 ? 64 : width;  // columns of a task
  float* const padded_bias = scratch + padded_columns(columns) * depth;
  float* const transposed = padded_bias + padded_columns(columns);  // a, where its rows are not contiguous
  const bool strided = a.column_step != 1;
  if (bias) {
    std::copy(bias, bias + columns, padded_bias);
    std::fill(padded_bias + columns, padded_bias + padded_columns(columns), 0.0f);
  }
  const std::int64_t blocks_to_pack = panels * blocks, rows_to_transpose = strided ? rows : 0;
  threads.for_each(blocks_to_pack + rows_to_transpose, [&](std::int64_t task) {
    if (task < blocks_to_pack) {
      const std::int64_t panel = task / blocks, k = task % blocks * depth_block, j = panel * width;
      pack_panel(scratch + (panel * depth + k) * width, b.data + k * b.row_step + j * b.column_step,
                 std::min(depth_block, depth - k), b.row_step,
                 static_cast<int>(std::min<std::int64_t>(width, columns - j)), b.column_step);
    } else {
      const std::int64_t i = task - blocks_to_pack;
      for (std::int64_t k = 0; k < depth; ++k)
        transposed[i * depth + k] = a.data[i * a.row_step + k * a.column_step];
    }
  });
  const std::int64_t row_blocks = ceil_div(rows, row_block);
  threads.for_each(ceil_div(columns, group) * row_blocks, [&](std::int64_t task) {
    const std::int64_t j = task / row_blocks * group, first = task % row_blocks * row_block;
    std::array<const float*, row_block> a_rows;
    std::array<float*, row_block> c_rows;
    const std::int64_t count = std::min(row_block, rows - first);
    for (std::int64_t i = 0; i < count; ++i) {
      a_rows[i] = strided ? transposed + (first + i) * depth : a.data + (first + i) * a.row_step;
      c_rows[i] = c + (first + i) * columns + j;
    }
    Gemm product;
    product.a = std::span(a_rows).first(count);
    product.b = scratch + j * depth;
    product.b_panel = depth * width;
    product.b_step = width;
    product.c = c_rows.data();
    product.columns = static_cast<int>(std::min<std::int64_t>(group, columns - j));
    product.bias = bias ? padded_bias + j : nullptr;
    std::int64_t k = 0;
    do {  // once even for an empty reduction, which is zeros
      const GemmSegment segment{k, k, static_cast<int>(std::min(depth_block, depth - k))};
      product.segments = std::span(&segment, 1);
      product.accumulate = k > 0;
      gemm(product);
    } while ((k += depth_block) < depth);
  });
}

}  // namespace convoy
