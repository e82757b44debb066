// Factors that pixels share, on the CPU; bound by memory.
#include "kernels/scaling.h"

#include "kernels/column_sums.h"

namespace convoy {
namespace {

RowParts parts_of(const ScaleGradient& call) {
  return {call.shape.images, call.shape.pixels};
}

}  // namespace

void launch(const CpuContext& context, const ScalePixels& call) {
  const float* x = context.data<float>(call.x);
  const float* factors = context.data<float>(call.factors);
  float* y = context.data<float>(call.y);
  context.threads().for_each(call.shape.images * call.shape.pixels,
                             [=, pixels = call.shape.pixels, c = call.shape.c](std::int64_t row) {
                               const float* own = factors + row / pixels * c;
                               for (int k = 0; k < c; ++k) y[row * c + k] = x[row * c + k] * own[k];
                             });
}

template <>
std::int64_t workspace_bytes<CpuContext>(const ScaleGradient& call) {
  return parts_of(call).partial_bytes(call.shape.c);
}

void launch(const CpuContext& context, const ScaleGradient& call) {
  const float* a = context.data<float>(call.a);
  const float* b = context.data<float>(call.b);
  float* out = context.data<float>(call.sums);
  const int c = call.shape.c;
  sum_columns(
      context.threads(), parts_of(call), c,
      context.arenas.workspace<double>(workspace_bytes<CpuContext>(call)),
      [=](std::int64_t row, double* sums) {
        for (int k = 0; k < c; ++k) sums[k] += static_cast<double>(a[row * c + k] * b[row * c + k]);
      },
      [=](std::int64_t image, const double* sums) {
        for (int k = 0; k < c; ++k) out[image * c + k] = static_cast<float>(sums[k]);
      });
}

}  // namespace convoy
