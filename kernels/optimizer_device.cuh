// What kernels of the optimizer are given of a rule.
#pragma once

#include "kernels/cuda_device.cuh"
#include "kernels/optimizer.h"

namespace convoy {

/// What a kernel is given of a rule: the rule itself, or what it makes of itself for a device.
template <class Rule>
inline auto on_device(const Rule& rule) {
  if constexpr (requires { rule.on_device(); })
    return rule.on_device();
  else
    return rule;
}
/// What is the same for all parameters of step t.
template <class OnDevice>
__device__ inline auto at_step(const OnDevice& rule, float rate, float t) {
  if constexpr (requires { rule.at(rate, t); })
    return rule.at(rate, t);
  else
    return AtRate<float>{rate};
}

/// Addresses of the moments, null for a last one that the hyperparameters do not need.
template <class Rule>
struct Moments {
  float* of[moment_count<Rule> > 0 ? moment_count<Rule> : 1] = {};
  __device__ bool has(int m) const {
    return !may_lack_last_moment<Rule> || m + 1 < static_cast<int>(moment_count<Rule>) || of[m] != nullptr;
  }
};
template <class Rule>
Moments<Rule> moments_on_device(const CudaContext& context, const OptimizerStep& call) {
  Moments<Rule> moments;
  for (std::size_t m = 0; m < call.moments.size(); ++m) moments.of[m] = context.data<float>(call.moments[m]);
  return moments;
}

}  // namespace convoy
