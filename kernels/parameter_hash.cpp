// The hash of a tensor on the CPU: threads add up hashes of elements in any order.
#include "kernels/parameter_hash.h"

#include <atomic>

namespace convoy {

void launch(const CpuContext& context, const ParameterHash& call) {
  const float* values = context.data<float>(call.values);
  const std::int64_t count = call.values.count;
  std::atomic<std::uint64_t> sum{0};
  context.threads().for_each_range(count, [&sum, values](std::int64_t first, std::int64_t end) {
    std::uint64_t part = 0;
    for (std::int64_t i = first; i < end; ++i)
      part += hash_term(static_cast<std::uint64_t>(i), bits_of(values[i]));
    sum += part;
  });
  store_hash(context.data<std::int32_t>(call.hash), sum);
}

}  // namespace convoy
