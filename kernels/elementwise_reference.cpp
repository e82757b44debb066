// Activations, dropout and sums, one element at a time.
#include <cmath>
#include <numbers>

#include "core/random.h"
#include "kernels/elementwise.h"
#include "kernels/reference.h"

namespace convoy {
namespace {

/// Φ(x), the standard normal distribution function.
template <class T>
T normal_cdf(T x) {
  return T(0.5) * std::erfc(-x / std::numbers::sqrt2_v<T>);
}
/// φ(x), its density.
template <class T>
T normal_pdf(T x) {
  return std::exp(T(-0.5) * x * x) * std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;
}

template <class T>
T activation(Activation kind, T slope, T x) {
  switch (kind) {
    case Activation::relu:
      return x <= 0 ? T(0) : x;  // so that a NaN passes through
    case Activation::leaky_relu:
      return x > 0 ? x : slope * x;
    case Activation::gelu:
      return x * normal_cdf(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  fail("internal error: unknown activation {}", static_cast<int>(kind));
}

/// f'(x), from `saved` = x (gelu) or y (the others).
template <class T>
T derivative(Activation kind, T slope, T saved) {
  switch (kind) {
    case Activation::relu:
      return saved > 0 ? T(1) : T(0);
    case Activation::leaky_relu:
      return saved > 0 ? T(1) : slope;
    case Activation::gelu:
      return normal_cdf(saved) + saved * normal_pdf(saved);
    case Activation::tanh:
      return 1 - saved * saved;
    case Activation::sigmoid:
      return saved * (1 - saved);
  }
  fail("internal error: unknown activation {}", static_cast<int>(kind));
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const ActivationForward& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  for (std::int64_t i = 0; i < call.x.count; ++i)
    y[i] = activation(call.kind, static_cast<T>(call.slope), x[i]);
}

template <class T>
void launch(const ReferenceContext<T>& context, const ActivationBackward& call) {
  const T* saved = context.template data<T>(call.saved);
  const T* dy = context.template data<T>(call.dy);
  T* dx = context.template data<T>(call.dx);
  for (std::int64_t i = 0; i < call.dx.count; ++i) {
    dx[i] = dy[i] * derivative(call.kind, static_cast<T>(call.slope), saved[i]);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const Dropout& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  const auto step = static_cast<std::uint64_t>(context.state.step);
  for (std::int64_t j = 0; j < call.x.count; ++j) {
    const auto i = static_cast<std::uint64_t>(call.first + j);  // over the global batch
    const Random4 words = random4(context.state.seed, Purpose::dropout, call.layer, (step << 40) + i / 4);
    const bool keep = uniform01(words.v[i % 4]) >= call.rate;
    y[j] = keep ? x[j] / (1 - static_cast<T>(call.rate)) : T(0);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const Add& call) {
  const T* a = context.template data<T>(call.a);
  const T* b = context.template data<T>(call.b);
  T* y = context.template data<T>(call.y);
  for (std::int64_t i = 0; i < call.y.count; ++i) y[i] = a[i] + b[i];
}

CONVOY_REFERENCE(ActivationForward);
CONVOY_REFERENCE(ActivationBackward);
CONVOY_REFERENCE(Dropout);
CONVOY_REFERENCE(Add);

}  // namespace convoy
