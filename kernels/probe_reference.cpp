#include <algorithm>

#include "kernels/probe.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const MultiplyAdd& call) {
  constexpr int side_by_side = 8;  // enough to hide the latency of an addition
  T total = 0;
  for (std::int64_t chain = 0; chain < call.chains; chain += side_by_side) {
    T sum[side_by_side] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int k = 0; k < call.length; ++k) {
      for (T& value : sum) value = value * T(0.5) + T(1);
    }
    for (const T value : sum) total += value;
  }
  *context.template data<T>(call.out) = total;
}

template <class T>
void launch(const ReferenceContext<T>& context, const Copy& call) {
  const std::byte* from = context.arenas.raw(call.from);
  std::copy(from, from + call.from.bytes(), context.arenas.raw(call.to));
}

CONVOY_REFERENCE(MultiplyAdd);
CONVOY_REFERENCE(Copy);

}  // namespace convoy
