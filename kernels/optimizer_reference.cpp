// Optimizer steps, one parameter at a time.
#include <cmath>

#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const SgdStep& call) {
  const T* scale = context.template data<T>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0) return;
  const T unscale = scale != nullptr ? scale[loss_scale::inverse] : T(1);
  T* compute_weights = context.template data<T>(call.compute_weights);  // or null
  T* w = context.template data<T>(call.parameters);
  const T* gradients = context.template data<T>(call.gradients);
  T* velocity = context.template data<T>(call.velocity);  // null when momentum = 0
  const T* decay = context.template data<T>(call.decay);  // one per parameter_alignment parameters
  const T rate = static_cast<T>(context.state.learning_rate), momentum = static_cast<T>(call.momentum);
  for (std::int64_t i = 0; i < call.parameters.count; ++i) {
    const T g = gradients[i] * unscale + decay[i / parameter_alignment] * w[i];
    T m = g;
    if (velocity != nullptr) {
      m = momentum * velocity[i] + g;
      velocity[i] = m;
    }
    w[i] -= rate * (call.nesterov ? g + momentum * m : m);
    if (compute_weights != nullptr) compute_weights[i] = w[i];
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const AdamStep& call) {
  const T* scale = context.template data<T>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0) return;
  const T unscale = scale != nullptr ? scale[loss_scale::inverse] : T(1);
  T* compute_weights = context.template data<T>(call.compute_weights);  // or null
  T* w = context.template data<T>(call.parameters);
  const T* gradients = context.template data<T>(call.gradients);
  T* mean = context.template data<T>(call.mean);
  T* variance = context.template data<T>(call.variance);
  const T* decay = context.template data<T>(call.decay);  // one per parameter_alignment parameters
  const T rate = static_cast<T>(context.state.learning_rate), epsilon = static_cast<T>(call.epsilon);
  const T beta1 = static_cast<T>(call.beta1), beta2 = static_cast<T>(call.beta2);
  const double skipped = scale != nullptr ? static_cast<double>(scale[loss_scale::skipped_steps]) : 0;
  const double t = static_cast<double>(context.state.step + 1) - skipped;
  const T correction1 = static_cast<T>(1 - std::pow(static_cast<double>(call.beta1), t));
  const T correction2 = static_cast<T>(1 - std::pow(static_cast<double>(call.beta2), t));
  for (std::int64_t i = 0; i < call.parameters.count; ++i) {
    const T factor = decay[i / parameter_alignment];
    T g = gradients[i] * unscale;
    if (call.decoupled) {
      w[i] -= rate * factor * w[i];
    } else {
      g += factor * w[i];
    }
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    variance[i] = beta2 * variance[i] + (1 - beta2) * g * g;
    w[i] -= rate * (mean[i] / correction1) / (std::sqrt(variance[i] / correction2) + epsilon);
    if (compute_weights != nullptr) compute_weights[i] = w[i];
  }
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

CONVOY_REFERENCE(SgdStep);
CONVOY_REFERENCE(AdamStep);
CONVOY_REFERENCE(AverageWeights);

}  // namespace convoy
