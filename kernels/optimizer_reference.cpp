// Optimizer steps, one parameter at a time.
#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"
#include "kernels/optimizers/host_moments.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const OptimizerStep& call) {
  const T* scale = context.template data<T>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0) return;
  const T unscale = scale != nullptr ? scale[loss_scale::inverse] : T(1);
  const double skipped = scale != nullptr ? static_cast<double>(scale[loss_scale::skipped_steps]) : 0;
  const double t = OptimizerStep::step_number(context.state.step, call.first_step, skipped);
  T* compute_weights = context.template data<T>(call.compute_weights);  // or null
  T* w = context.template data<T>(call.parameters);
  const T* gradients = context.template data<T>(call.gradients);
  const T* decay = context.template data<T>(call.decay);  // one per parameter_alignment parameters
  const T* rates = context.template data<T>(call.rates);  // as many, or null
  with_rule<T>(context, call, [&](const auto& rule, const auto& moments) {
    const T rate = static_cast<T>(context.state.learning_rate);
    auto at = reference_step(rule, rate, t);
    for (std::int64_t i = 0; i < call.parameters.count; ++i) {
      if (rates != nullptr && i % parameter_alignment == 0)
        at = reference_step(rule, rate * rates[i / parameter_alignment], t);
      auto own = moments.load(i);
      update(rule, at, decay[i / parameter_alignment], w[i], gradients[i] * unscale, own);
      moments.store(i, own);
      if (compute_weights != nullptr) compute_weights[i] = w[i];
    }
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const AverageWeights& call) {
  const T* scale = context.template data<T>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0) return;
  const T decay = static_cast<T>(call.decay);
  const T* w = context.template data<T>(call.parameters);
  T* average = context.template data<T>(call.average);
  T* compute_weights = context.template data<T>(call.compute_weights);  // or null
  for (std::int64_t i = 0; i < call.parameters.count; ++i) {
    average[i] = decay * average[i] + (1 - decay) * w[i];
    if (compute_weights != nullptr) compute_weights[i] = average[i];
  }
}

CONVOY_REFERENCE(OptimizerStep);
CONVOY_REFERENCE(AverageWeights);

}  // namespace convoy
