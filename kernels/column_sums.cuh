// Sums over the rows of each image, per channel, in two stages: blocks sum parts of the rows, the lanes of a
// block in a tree, and a second kernel adds the parts. The order follows from the shape alone. Limited by
// bytes.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/cuda_device.cuh"

namespace convoy {

/// `parts` runs of `length` rows of each image are summed side by side: enough blocks for a large GPU, none
/// too short.
struct ColumnParts {
  std::int64_t images, rows;
  int c, parts;
  std::int64_t length;

  ColumnParts(std::int64_t of_images, std::int64_t rows_of_image, int channels)
      : images(of_images), rows(rows_of_image), c(channels) {
    constexpr std::int64_t wanted_blocks = 528, fewest_rows = 128, channels_of_block = 256;
    const std::int64_t blocks = std::max<std::int64_t>(1, images * ceil_div(c, channels_of_block));
    const auto most = std::max<std::int64_t>(1, rows / fewest_rows);
    length =
        std::max<std::int64_t>(1, ceil_div(rows, std::clamp<std::int64_t>(wanted_blocks / blocks, 1, most)));
    parts = static_cast<int>(std::max<std::int64_t>(1, ceil_div(rows, length)));
  }
  std::int64_t columns() const { return images * c; }
  /// Of the floats that partial sums of so many values need.
  std::int64_t partial_bytes(int values) const {
    return std::int64_t{sizeof(float)} * values * parts * columns();
  }
};

// A Source says what is summed over the rows (counted over all images) of x (rows,c):
//   values                              how many sums there are per channel
//   rows_at_once                        how many rows a thread loads before it uses the first
//   Constants<V>, constants<V>(image, pack)   what is the same for a channel pack in all rows of an image
//   Loaded<V>, load<V>(row, pack)       what is read of a row
//   add<V>(constants, loaded, sum)      adds a row to float sum[values][V]

/// partial (values,parts,images,c). Grid: x = image and block of columns, y = part.
template <int V, class Source>
__global__ void __launch_bounds__(block_size)
    column_sums_kernel(const __grid_constant__ Source source, const __grid_constant__ ColumnParts p,
                       int columns, int lanes, int column_blocks, float* __restrict__ partial) {
  constexpr int values = Source::values;
  __shared__ float shared[values * V][block_size];
  const int tid = static_cast<int>(threadIdx.x), column = tid % columns, lane = tid / columns;
  const std::int64_t image = blockIdx.x / column_blocks;
  const int pack = static_cast<int>(blockIdx.x % column_blocks) * columns + column;
  const bool active = lane < lanes && pack < p.c / V;
  float sum[values][V] = {};
  if (active) {
    const auto constants = source.template constants<V>(image, pack);
    const std::int64_t first_of_part = blockIdx.y * p.length;
    const std::int64_t begin = image * p.rows + first_of_part;
    const std::int64_t end = image * p.rows + min(first_of_part + p.length, p.rows);
    constexpr int batch = Source::rows_at_once;
    for (std::int64_t first = begin + lane; first < end; first += std::int64_t{batch} * lanes) {
      typename Source::template Loaded<V> in[batch];
#pragma unroll
      for (int r = 0; r < batch; ++r) {
        const std::int64_t row = first + std::int64_t{r} * lanes;
        if (row < end) in[r] = source.template load<V>(row, pack);
      }
#pragma unroll
      for (int r = 0; r < batch; ++r) {
        if (first + std::int64_t{r} * lanes < end) source.template add<V>(constants, in[r], sum);
      }
    }
  }
#pragma unroll
  for (int k = 0; k < values * V; ++k) shared[k][tid] = sum[k / V][k % V];
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
#pragma unroll
      for (int k = 0; k < values * V; ++k) shared[k][tid] += shared[k][tid + half * columns];
    }
  }
  if (!active || lane > 0) return;
#pragma unroll
  for (int k = 0; k < values * V; ++k) {
    const std::int64_t row_of_partial = (std::int64_t{k / V} * p.parts + blockIdx.y) * p.images + image;
    partial[row_of_partial * p.c + pack * V + k % V] = shared[k][tid];
  }
}

/// Calls finish(column, totals) for each column of (images,c). A block has 32 columns; lane l of a column
/// adds the parts l, l + 8, ..., then the first lane the lanes in order.
template <int Values, class Finish>
__global__ void __launch_bounds__(block_size)
    finish_columns_kernel(int parts, std::int64_t count, const float* __restrict__ partial,
                          const __grid_constant__ Finish finish) {
  constexpr int columns = 32, lanes = block_size / columns;
  __shared__ float shared[Values][lanes][columns];
  const int column = static_cast<int>(threadIdx.x) % columns, lane = static_cast<int>(threadIdx.x) / columns;
  const std::int64_t i = std::int64_t{blockIdx.x} * columns + column;
#pragma unroll
  for (int k = 0; k < Values; ++k) {
    float sum = 0.0f;
    if (i < count) {
#pragma unroll 8
      for (int part = lane; part < parts; part += lanes)
        sum += partial[(std::int64_t{k} * parts + part) * count + i];
    }
    shared[k][lane][column] = sum;
  }
  __syncthreads();
  if (lane > 0 || i >= count) return;
  float totals[Values] = {};
#pragma unroll
  for (int k = 0; k < Values; ++k) {
    for (int l = 0; l < lanes; ++l) totals[k] += shared[k][l][column];
  }
  finish(i, totals);
}

/// `partial` is room for p.partial_bytes(values); `widest` a width of packs that all addresses allow.
template <class T, class Source, class Finish>
void launch_column_sums(const CudaContext& context, const ColumnParts& p, int widest, const Source& source,
                        float* partial, const Finish& finish) {
  if (p.columns() == 0) return;
  with_pack_width<T>(widest, [&](auto width) {
    constexpr int v = decltype(width)::value;
    const int packs = p.c / v, columns = std::min(packs, 32);
    const int lanes = static_cast<int>(std::bit_floor(static_cast<unsigned>(block_size / columns)));
    const int column_blocks = ceil_div(packs, columns);
    check(p.images * column_blocks <= 0x7fffffff, "more blocks than a CUDA grid holds");
    const dim3 blocks(static_cast<unsigned>(p.images * column_blocks), static_cast<unsigned>(p.parts));
    column_sums_kernel<v>
        <<<blocks, block_size, 0, context.stream>>>(source, p, columns, lanes, column_blocks, partial);
  });
  check_launch();
  finish_columns_kernel<Source::values>
      <<<blocks_for(p.columns(), 32), block_size, 0, context.stream>>>(p.parts, p.columns(), partial, finish);
  check_launch();
}

}  // namespace convoy
