// Activations, dropout and sums, one element at a time.
#include "core/random.h"
#include "kernels/elementwise.h"
#include "kernels/reference.h"

namespace convoy {
template <class T>
void launch(const ReferenceContext<T>& context, const ActivationForward& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  with_activation(call.kind, call.parameter, [&](auto activation) {
    for (std::int64_t i = 0; i < call.x.count; ++i) y[i] = activation.f(x[i]);
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const ActivationBackward& call) {
  const T* saved = context.template data<T>(call.saved);
  const T* dy = context.template data<T>(call.dy);
  T* dx = context.template data<T>(call.dx);
  with_activation(call.kind, call.parameter, [&](auto activation) {
    for (std::int64_t i = 0; i < call.dx.count; ++i) dx[i] = activation.gradient(saved[i], dy[i]);
  });
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
void launch(const ReferenceContext<T>& context, const DropPath& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  const auto step = static_cast<std::uint64_t>(context.state.step);
  for (std::int64_t j = 0; j < call.x.count; ++j) {
    const auto i = static_cast<std::uint64_t>(call.first + j / call.features);  // over the global batch
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
CONVOY_REFERENCE(DropPath);
CONVOY_REFERENCE(Add);

}  // namespace convoy
