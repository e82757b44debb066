// Trust ratios, one parameter after the other.
#include "kernels/loss_scale.h"
#include "kernels/optimizers/host_moments.h"
#include "kernels/reference.h"
#include "kernels/trust_ratios.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const TrustRatios& call) {
  const OptimizerStep& step = call.step;
  const T* scale = context.template data<T>(step.loss_scale);  // or null
  const T unscale = scale != nullptr ? scale[loss_scale::inverse] : T(1);
  const double skipped = scale != nullptr ? static_cast<double>(scale[loss_scale::skipped_steps]) : 0;
  const double t = OptimizerStep::step_number(context.state.step, step.first_step, skipped);
  const T* w = context.template data<T>(step.parameters);
  const T* gradients = context.template data<T>(step.gradients);
  const T* decay = context.template data<T>(step.decay);
  const T* rates = context.template data<T>(step.rates);  // or null
  const auto* ends = context.template data<std::int32_t>(call.ends);
  T* ratios = context.template data<T>(call.ratios);
  with_rule<T>(context, step, [&]<class Rule>(const Rule& rule, const auto& moments) {
    const auto at = reference_step(rule, T(1), t);
    std::int64_t begin = 0;
    for (std::int64_t p = 0; p < call.ends.count; ++p) {
      const std::int64_t end = ends[p] - call.first_run;
      double weights = 0, directions = 0;
      for (std::int64_t i = begin * parameter_alignment; i < end * parameter_alignment; ++i) {
        auto own = moments.load(i);
        const T u = direction(rule, at, decay[begin], w[i], gradients[i] * unscale, own);
        weights += static_cast<double>(w[i]) * static_cast<double>(w[i]);
        directions += static_cast<double>(u) * static_cast<double>(u);
      }
      for (std::int64_t run = begin; run < end; ++run)
        ratios[run] = trust_ratio(weights, directions, decay[begin]) * (rates != nullptr ? rates[run] : T(1));
      begin = end;
    }
  });
}

CONVOY_REFERENCE(TrustRatios);

}  // namespace convoy
