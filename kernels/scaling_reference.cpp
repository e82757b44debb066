// Factors that pixels share, one element at a time.
#include "kernels/reference.h"
#include "kernels/scaling.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const ScalePixels& call) {
  const T* x = context.template data<T>(call.x);
  const T* factors = context.template data<T>(call.factors);
  T* y = context.template data<T>(call.y);
  const ScaleShape& s = call.shape;
  for (std::int64_t i = 0; i < s.count(); ++i) y[i] = x[i] * factors[i / (s.pixels * s.c) * s.c + i % s.c];
}

template <class T>
void launch(const ReferenceContext<T>& context, const ScaleGradient& call) {
  const T* a = context.template data<T>(call.a);
  const T* b = context.template data<T>(call.b);
  T* sums = context.template data<T>(call.sums);
  const ScaleShape& s = call.shape;
  for (std::int64_t i = 0; i < s.images * s.c; ++i) sums[i] = T(0);
  for (std::int64_t i = 0; i < s.count(); ++i) sums[i / (s.pixels * s.c) * s.c + i % s.c] += a[i] * b[i];
}

CONVOY_REFERENCE(ScalePixels);
CONVOY_REFERENCE(ScaleGradient);

}  // namespace convoy
