// Fully connected layers as their definition says.
#include <algorithm>

#include "kernels/linear.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const LinearForward& call) {
  const auto [rows, c, k] = call.shape;
  const T* x = context.template data<T>(call.x);        // (N,C)
  const T* w = context.template data<T>(call.w);        // (K,C)
  const T* bias = context.template data<T>(call.bias);  // (K) or null
  T* y = context.template data<T>(call.y);              // (N,K)
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t j = 0; j < k; ++j) {
      T sum = bias != nullptr ? bias[j] : T(0);
      for (int i = 0; i < c; ++i) sum += x[n * c + i] * w[j * c + i];
      y[n * k + j] = sum;
    }
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const LinearDgrad& call) {
  const auto [rows, c, k] = call.shape;
  const T* dy = context.template data<T>(call.dy);  // (N,K)
  const T* w = context.template data<T>(call.w);    // (K,C)
  T* dx = context.template data<T>(call.dx);        // (N,C)
  std::fill_n(dx, std::int64_t{rows} * c, T(0));
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t j = 0; j < k; ++j) {
      for (int i = 0; i < c; ++i) dx[n * c + i] += dy[n * k + j] * w[j * c + i];
    }
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const LinearWgrad& call) {
  const auto [rows, c, k] = call.shape;
  const T* x = context.template data<T>(call.x);    // (N,C)
  const T* dy = context.template data<T>(call.dy);  // (N,K)
  T* dw = context.template data<T>(call.dw);        // (K,C)
  std::fill_n(dw, std::int64_t{k} * c, T(0));
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t j = 0; j < k; ++j) {
      for (int i = 0; i < c; ++i) dw[j * c + i] += dy[n * k + j] * x[n * c + i];
    }
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const BiasGrad& call) {
  const T* dy = context.template data<T>(call.dy);  // (rows,C)
  T* db = context.template data<T>(call.db);        // (C)
  std::fill_n(db, call.c, T(0));
  for (std::int64_t row = 0; row < call.rows; ++row) {
    for (int c = 0; c < call.c; ++c) db[c] += dy[row * call.c + c];
  }
}

CONVOY_REFERENCE(LinearForward);
CONVOY_REFERENCE(LinearDgrad);
CONVOY_REFERENCE(LinearWgrad);
CONVOY_REFERENCE(BiasGrad);

}  // namespace convoy
