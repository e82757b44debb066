// Optimizer steps over the flat parameter block: one walk per engine, whatever the rule. `decay` holds one
// weight-decay factor per parameter_alignment parameters.
#pragma once

#include <fmt/format.h>

#include <string>
#include <variant>
#include <vector>

#include "core/tensor.h"
#include "kernels/contexts.h"
#include "kernels/optimizers/all.h"

namespace convoy {

/// One step of the rule (kernels/optimizers) for every parameter. The learning rate is StepState's, times the
/// factors in `rates` where there are some. With a loss scale, gradients are multiplied by its inverse, and
/// nothing changes when it says to skip. `compute_weights` gets the parameters in its own type.
struct OptimizerStep {
  OptimizerRule rule;
  Tensor parameters, gradients;
  std::vector<Tensor> moments;  ///< as moments_of(rule) names them
  Tensor decay;
  Tensor compute_weights = {}, loss_scale = {};  ///< both optional
  Tensor rates = {};  ///< optional: one factor of the learning rate per parameter_alignment parameters
  std::int64_t first_step = 0;  ///< steps of the run before these parameters began to train
  const char* name() const { return name_of(rule); }
  /// The number of this step, from 1, for corrections of moments that began at zero.
  template <class T>
  static CONVOY_HOST_DEVICE T step_number(std::int64_t step, std::int64_t first_step, T skipped_steps) {
    const T number = static_cast<T>(step + 1 - first_step) - skipped_steps;
    return number > T(1) ? number : T(1);  // of the skipped steps, some may lie before the first one
  }
  std::int64_t flops() const {
    return std::visit([&]<class Rule>(const Rule&) { return Rule::flops * parameters.count; }, rule);
  }
  std::string describe() const { return fmt::format("count={}", parameters.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.updates(call.parameters), v.reads(call.gradients);
    for (auto& moment : call.moments) v.updates(moment);
    v.reads(call.decay), v.updates(call.compute_weights), v.reads(call.loss_scale), v.reads(call.rates);
  }
};

/// average = decay average + (1 - decay) w, the exponential moving average of the weights (Polyak & Juditsky,
/// 1992, in the form of Tarvainen & Valpola, 2017); nothing changes when the loss scale says to skip.
/// `compute_weights` gets the average in its own type.
struct AverageWeights {
  static constexpr const char* name = "average_weights";
  float decay = 0.0f;
  Tensor parameters, average;
  Tensor compute_weights = {}, loss_scale = {};  ///< both optional
  std::int64_t flops() const { return 3 * parameters.count; }
  std::string describe() const { return fmt::format("count={} decay={}", parameters.count, decay); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.parameters), v.updates(call.average), v.updates(call.compute_weights),
        v.reads(call.loss_scale);
  }
};

/// Throws where a call has other moments than its rule needs.
inline void check_moments(const OptimizerStep& call) {
  check(call.moments.size() == moments_of(call.rule).size(),
        "an optimizer step with other moments than its rule's");
}

CONVOY_LAUNCHERS(OptimizerStep);
CONVOY_LAUNCHERS(AverageWeights);

}  // namespace convoy
