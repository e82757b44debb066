// Optimizer steps on the CPU: one pass over parameters, gradients and moments, bound by memory.
#include "kernels/optimizer.h"

#include <algorithm>

#include "kernels/loss_scale.h"
#include "kernels/optimizers/host_moments.h"
#include "kernels/runs.h"

namespace convoy {
namespace {

/// What a loss scale asks for: to leave everything alone, or a factor for the gradients.
struct Unscale {
  bool skip = false;
  float factor = 1.0f, skipped_steps = 0.0f;
};
Unscale unscale(const CpuContext& context, const Tensor& state) {
  const float* scale = context.data<float>(state);
  if (scale == nullptr) return {};
  return {scale[loss_scale::skip] != 0.0f, scale[loss_scale::inverse], scale[loss_scale::skipped_steps]};
}

void copy_to_compute_weights(const CpuContext& context, const Tensor& parameters,
                             const Tensor& compute_weights) {
  if (compute_weights)
    std::copy_n(context.data<float>(parameters), parameters.count, context.data<float>(compute_weights));
}

/// What is the same for all parameters of step t, in the rule's fastest form.
template <class Rule>
auto at_step(const Rule& rule, float rate, double t) {
  if constexpr (requires { rule.cpu(rate, t); })
    return rule.cpu(rate, t);
  else
    return reference_step(rule, rate, t);
}

}  // namespace

void launch(const CpuContext& context, const OptimizerStep& call) {
  const Unscale scale = unscale(context, call.loss_scale);
  if (scale.skip) return;
  float* w = context.data<float>(call.parameters);
  const float* gradients = context.data<float>(call.gradients);
  const float* decay = context.data<float>(call.decay);
  const double t = static_cast<double>(context.state.step + 1) - static_cast<double>(scale.skipped_steps);
  with_rule<float>(context, call, [&](const auto& rule, const auto& moments) {
    const auto at = at_step(rule, context.state.learning_rate, t);
    const auto one_run = [=](std::int64_t run, std::int64_t i, std::int64_t end) {
      // Local copies: the compiler sees that no store to w changes them.
      const auto local_rule = rule;
      const auto local_at = at;
      const float factor = decay[run], inverse = scale.factor;
      for (; i < end; ++i) {
        auto own = moments.load(i);
        float weight = w[i];
        update(local_rule, local_at, factor, weight, inverse * gradients[i], own);
        w[i] = weight;
        moments.store(i, own);
      }
    };
    for_each_run<parameter_alignment>(context.threads(), call.parameters.count, one_run);
  });
  copy_to_compute_weights(context, call.parameters, call.compute_weights);
}

void launch(const CpuContext& context, const AverageWeights& call) {
  if (unscale(context, call.loss_scale).skip) return;
  const float* w = context.data<float>(call.parameters);
  float* average = context.data<float>(call.average);
  const float share = 1.0f - call.decay;
  context.threads().for_each(call.parameters.count,
                             [=](std::int64_t i) { average[i] += share * (w[i] - average[i]); });
  copy_to_compute_weights(context, call.average, call.compute_weights);
}

}  // namespace convoy
