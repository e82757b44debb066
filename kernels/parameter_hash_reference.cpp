// The hash of a tensor, one value at a time.
#include "kernels/parameter_hash.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const ParameterHash& call) {
  const T* values = context.template data<T>(call.values);
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < call.values.count; ++i)
    sum += hash_term(static_cast<std::uint64_t>(i), bits_of(values[i]));
  store_hash(context.template data<std::int32_t>(call.hash), sum);
}

CONVOY_REFERENCE(ParameterHash);

}  // namespace convoy
