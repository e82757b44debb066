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
  const double t = static_cast<double>(context.state.step + 1) - skipped;
  T* compute_weights = context.template data<T>(call.compute_weights);  // or null
  T* w = context.template data<T>(call.parameters);
  const T* gradients = context.template data<T>(call.gradients);
  const T* decay = context.template data<T>(call.decay);  // one per parameter_alignment parameters
  with_rule<T>(context, call, [&](const auto& rule, const auto& moments) {
    const auto at = reference_step(rule, static_cast<T>(context.state.learning_rate), t);
    for (std::int64_t i = 0; i < call.parameters.count; ++i) {
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
