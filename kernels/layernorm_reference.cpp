// Layer normalisation, as its definition says.
#include <cmath>

#include "kernels/layernorm.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const LayerNormForward& call) {
  const T* x = context.template data<T>(call.x);
  const T* gamma = context.template data<T>(call.gamma);
  const T* beta = context.template data<T>(call.beta);
  T* y = context.template data<T>(call.y);
  T* means = context.template data<T>(call.mean);
  T* inv_stds = context.template data<T>(call.inv_std);
  const int c = call.shape.c;
  for (std::int64_t row = 0; row < call.shape.rows; ++row, x += c, y += c) {
    T mean = 0, variance = 0;
    for (int k = 0; k < c; ++k) mean += x[k] / static_cast<T>(c);
    for (int k = 0; k < c; ++k) variance += (x[k] - mean) * (x[k] - mean) / static_cast<T>(c);
    const T inv_std = 1 / std::sqrt(variance + static_cast<T>(call.shape.epsilon));
    for (int k = 0; k < c; ++k) y[k] = (x[k] - mean) * inv_std * gamma[k] + beta[k];
    if (means != nullptr) means[row] = mean, inv_stds[row] = inv_std;
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const LayerNormBackward& call) {
  const T* x = context.template data<T>(call.x);
  const T* dy = context.template data<T>(call.dy);
  const T* gamma = context.template data<T>(call.gamma);
  const T* means = context.template data<T>(call.mean);
  const T* inv_stds = context.template data<T>(call.inv_std);
  T* dx = context.template data<T>(call.dx);
  const int c = call.shape.c;
  for (std::int64_t row = 0; row < call.shape.rows; ++row, x += c, dy += c, dx += c) {
    const T mean = means[row], inv_std = inv_stds[row];
    T of_g = 0, of_products = 0;  // means
    for (int k = 0; k < c; ++k) {
      const T g = gamma[k] * dy[k];
      of_g += g / static_cast<T>(c);
      of_products += g * (x[k] - mean) * inv_std / static_cast<T>(c);
    }
    for (int k = 0; k < c; ++k)
      dx[k] = inv_std * (gamma[k] * dy[k] - of_g - (x[k] - mean) * inv_std * of_products);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const LayerNormWgrad& call) {
  const T* x = context.template data<T>(call.x);
  const T* dy = context.template data<T>(call.dy);
  const T* mean = context.template data<T>(call.mean);
  const T* inv_std = context.template data<T>(call.inv_std);
  T* dgamma = context.template data<T>(call.dgamma);
  T* dbeta = context.template data<T>(call.dbeta);
  const int c = call.shape.c;
  for (int k = 0; k < c; ++k) dgamma[k] = dbeta[k] = T(0);
  for (std::int64_t row = 0; row < call.shape.rows; ++row) {
    for (int k = 0; k < c; ++k) {
      const std::int64_t i = row * c + k;
      dgamma[k] += dy[i] * (x[i] - mean[row]) * inv_std[row];
      dbeta[k] += dy[i];
    }
  }
}

CONVOY_REFERENCE(LayerNormForward);
CONVOY_REFERENCE(LayerNormBackward);
CONVOY_REFERENCE(LayerNormWgrad);

}  // namespace convoy
