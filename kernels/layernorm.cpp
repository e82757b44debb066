// Layer normalisation on the CPU: threads share the rows, a row is summed in sixteen lanes.
#include "kernels/layernorm.h"

#include <cmath>

#include "kernels/column_sums.h"

namespace convoy {
namespace {

/// The sum of term(k) for k in [0, c), in a fixed order that compilers make vectors of.
template <class Term>
float row_sum(int c, const Term& term) {
  constexpr int lanes = 16;
  float sums[lanes] = {};
  int k = 0;
  for (; k + lanes <= c; k += lanes)
    for (int lane = 0; lane < lanes; ++lane) sums[lane] += term(k + lane);
  for (int lane = 0; k < c; ++k, ++lane) sums[lane] += term(k);
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

}  // namespace

void launch(const CpuContext& context, const LayerNormForward& call) {
  const float* all_x = context.data<float>(call.x);
  const float* gamma = context.data<float>(call.gamma);
  const float* beta = context.data<float>(call.beta);
  float* all_y = context.data<float>(call.y);
  float* means = context.data<float>(call.mean);
  float* inv_stds = context.data<float>(call.inv_std);
  context.threads().for_each(
      call.shape.rows, [=, c = call.shape.c, epsilon = call.shape.epsilon](std::int64_t row) {
        const float* x = all_x + row * c;
        float* y = all_y + row * c;
        const float mean = row_sum(c, [=](int k) { return x[k]; }) / static_cast<float>(c);
        const float squares = row_sum(c, [=](int k) { return (x[k] - mean) * (x[k] - mean); });
        const float inv_std = 1.0f / std::sqrt(squares / static_cast<float>(c) + epsilon);
        for (int k = 0; k < c; ++k) y[k] = (x[k] - mean) * inv_std * gamma[k] + beta[k];
        if (means != nullptr) means[row] = mean, inv_stds[row] = inv_std;
      });
}

void launch(const CpuContext& context, const LayerNormBackward& call) {
  const float* all_x = context.data<float>(call.x);
  const float* all_dy = context.data<float>(call.dy);
  const float* gamma = context.data<float>(call.gamma);
  const float* means = context.data<float>(call.mean);
  const float* inv_stds = context.data<float>(call.inv_std);
  float* all_dx = context.data<float>(call.dx);
  context.threads().for_each(call.shape.rows, [=, c = call.shape.c](std::int64_t row) {
    const float *x = all_x + row * c, *dy = all_dy + row * c;
    float* dx = all_dx + row * c;
    const float mean = means[row], inv_std = inv_stds[row], share = 1.0f / static_cast<float>(c);
    const float of_g = share * row_sum(c, [=](int k) { return gamma[k] * dy[k]; });
    const float of_products =
        share * row_sum(c, [=](int k) { return gamma[k] * dy[k] * ((x[k] - mean) * inv_std); });
    for (int k = 0; k < c; ++k)
      dx[k] = inv_std * (gamma[k] * dy[k] - of_g - (x[k] - mean) * inv_std * of_products);
  });
}

template <>
std::int64_t workspace_bytes<CpuContext>(const LayerNormWgrad& call) {
  return RowParts(1, call.shape.rows).partial_bytes(2 * call.shape.c);
}

void launch(const CpuContext& context, const LayerNormWgrad& call) {
  const float* x = context.data<float>(call.x);
  const float* dy = context.data<float>(call.dy);
  const float* mean = context.data<float>(call.mean);
  const float* inv_std = context.data<float>(call.inv_std);
  float* dgamma = context.data<float>(call.dgamma);
  float* dbeta = context.data<float>(call.dbeta);
  const int c = call.shape.c;
  sum_columns(
      context.threads(), {1, call.shape.rows}, 2 * c,
      context.arenas.workspace<double>(workspace_bytes<CpuContext>(call)),
      [=](std::int64_t row, double* sums) {
        const float m = mean[row], s = inv_std[row];
        for (int k = 0; k < c; ++k) {
          const float gradient = dy[row * c + k];
          sums[k] += static_cast<double>(gradient * ((x[row * c + k] - m) * s));
          sums[c + k] += static_cast<double>(gradient);
        }
      },
      [=](std::int64_t, const double* sums) {
        for (int k = 0; k < c; ++k) {
          dgamma[k] = static_cast<float>(sums[k]);
          dbeta[k] = static_cast<float>(sums[c + k]);
        }
      });
}

}  // namespace convoy
