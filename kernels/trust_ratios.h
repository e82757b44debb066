// How far each parameter as a whole may go in a step of a layer-wise rule (LAMB, kernels/optimizers/lamb.h).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/host_device.h"
#include "kernels/optimizer.h"

namespace convoy {

/// ratios (runs) = |w| / |u| of the parameter that a run of parameter_alignment elements belongs to, w its
/// weights and u the direction that `step` is about to take, times step.rates where there are some. 1 in
/// place of the ratio where a norm is 0 or not finite, and for parameters without weight decay, as timm does
/// for biases and normalisations. Run `r` of the tensors is run `first_run` + r of the block; ends
/// (parameters) i32 are the runs behind each parameter of the block, in their order, which begin at first_run
/// here. The order of the sums is fixed by the shapes. Changes nothing but the ratios, which become
/// step.rates.
struct TrustRatios {
  static constexpr const char* name = "trust_ratios";
  OptimizerStep step;
  std::int64_t first_run = 0;
  Tensor ends, ratios;
  std::int64_t flops() const { return step.flops() + 4 * step.parameters.count; }
  std::string describe() const {
    return fmt::format("count={} parameters={}", step.parameters.count, ends.count);
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    auto& step = call.step;
    v.reads(step.parameters), v.reads(step.gradients);
    for (auto& moment : step.moments) v.reads(moment);
    v.reads(step.decay), v.reads(step.loss_scale), v.reads(step.rates), v.reads(call.ends);
    v.writes(call.ratios);
  }
};

/// The ratio of a parameter from the sums of squares of its weights and its direction.
template <class T>
CONVOY_HOST_DEVICE T trust_ratio(double weights, double direction, T decay) {
  const double ratio = std::sqrt(weights) / std::sqrt(direction);
  return decay != T(0) && ratio > 0 && ratio - ratio == 0 ? static_cast<T>(ratio) : T(1);
}

CONVOY_LAUNCHERS(TrustRatios);
template <>
std::int64_t workspace_bytes<CudaContext>(const TrustRatios&);  // two sums per run

}  // namespace convoy
