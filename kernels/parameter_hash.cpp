// The hash of a tensor on the CPU: threads add up what they come to, in any order.
#include "kernels/parameter_hash.h"

namespace convoy {

void launch(const CpuContext& context, const ParameterHash& call) {
  const float* values = context.data<float>(call.values);
  const std::int64_t count = call.values.count;
  std::uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i)
    sum += hash_term(static_cast<std::uint64_t>(i), bits_of(values[i]));
  store_hash(context.data<std::int32_t>(call.hash), sum);
}

}  // namespace convoy
