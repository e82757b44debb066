// Fully connected layers as matrix products, and the bias gradient. x (N,C), w (K,C), y (N,K).
#include "kernels/linear.h"

#include <algorithm>

#include "core/ceil_div.h"
#include "kernels/gemm.h"

namespace convoy {
namespace {

/// Rows per partial sum of the bias gradient: fixed by the shape, so that the order of summation is too.
std::int64_t bias_rows(const BiasGrad& call) {
  return std::max<std::int64_t>(64, ceil_div(call.rows, 64));
}
std::int64_t bias_chunks(const BiasGrad& call) {
  return ceil_div(call.rows, bias_rows(call));
}

std::int64_t scratch_bytes(std::int64_t rows, std::int64_t columns, std::int64_t depth) {
  return matrix_product_scratch(rows, columns, depth) * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace

template <>
std::int64_t workspace_bytes<CpuContext>(const LinearForward& call) {
  return scratch_bytes(call.shape.n, call.shape.k, call.shape.c);
}
template <>
std::int64_t workspace_bytes<CpuContext>(const LinearDgrad& call) {
  return scratch_bytes(call.shape.n, call.shape.c, call.shape.k);
}
template <>
std::int64_t workspace_bytes<CpuContext>(const LinearWgrad& call) {
  return scratch_bytes(call.shape.k, call.shape.c, call.shape.n);
}
template <>
std::int64_t workspace_bytes<CpuContext>(const BiasGrad& call) {
  return bias_chunks(call) * call.c * static_cast<std::int64_t>(sizeof(float));
}

void launch(const CpuContext& context, const LinearForward& call) {
  const auto [n, c, k] = call.shape;
  matrix_product(context.threads(), n, k, c, {context.data<float>(call.x), c, 1},
                 {context.data<float>(call.w), 1, c}, context.data<float>(call.bias),
                 context.data<float>(call.y),
                 context.arenas.workspace<float>(workspace_bytes<CpuContext>(call)));
}

void launch(const CpuContext& context, const LinearDgrad& call) {
  const auto [n, c, k] = call.shape;
  matrix_product(context.threads(), n, c, k, {context.data<float>(call.dy), k, 1},
                 {context.data<float>(call.w), c, 1}, nullptr, context.data<float>(call.dx),
                 context.arenas.workspace<float>(workspace_bytes<CpuContext>(call)));
}

void launch(const CpuContext& context, const LinearWgrad& call) {
  const auto [n, c, k] = call.shape;
  matrix_product(context.threads(), k, c, n, {context.data<float>(call.dy), 1, k},
                 {context.data<float>(call.x), c, 1}, nullptr, context.data<float>(call.dw),
                 context.arenas.workspace<float>(workspace_bytes<CpuContext>(call)));
}

void launch(const CpuContext& context, const BiasGrad& call) {
  const float* dy = context.data<float>(call.dy);
  float* db = context.data<float>(call.db);
  float* partial = context.arenas.workspace<float>(workspace_bytes<CpuContext>(call));
  const std::int64_t chunks = bias_chunks(call), chunk_rows = bias_rows(call);
  const int c = call.c;
  context.threads().for_each(chunks, [=, rows = call.rows](std::int64_t chunk) {
    float* sum = partial + chunk * c;
    std::fill(sum, sum + c, 0.0f);
    std::int64_t row = chunk * chunk_rows;
    const std::int64_t end = std::min(rows, row + chunk_rows);
    for (; row + 4 <= end; row += 4) {  // four rows per visit to the sums
      const float* r = dy + row * c;
      for (int j = 0; j < c; ++j) sum[j] += (r[j] + r[c + j]) + (r[2 * c + j] + r[3 * c + j]);
    }
    for (; row < end; ++row) {
      for (int j = 0; j < c; ++j) sum[j] += dy[row * c + j];
    }
  });
  std::fill(db, db + c, 0.0f);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int j = 0; j < c; ++j) db[j] += partial[chunk * c + j];
  }
}

}  // namespace convoy
