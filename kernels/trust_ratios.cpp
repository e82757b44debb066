// Trust ratios on the CPU: sums of runs shared out, those of a parameter added in order.
#include "kernels/trust_ratios.h"

#include <vector>

#include "kernels/loss_scale.h"
#include "kernels/optimizers/host_moments.h"
#include "kernels/runs.h"

namespace convoy {

void launch(const CpuContext& context, const TrustRatios& call) {
  const OptimizerStep& step = call.step;
  const float* scale = context.data<float>(step.loss_scale);  // or null
  const float inverse = scale != nullptr ? scale[loss_scale::inverse] : 1.0f;
  const double skipped = scale != nullptr ? static_cast<double>(scale[loss_scale::skipped_steps]) : 0;
  const double t = OptimizerStep::step_number(context.state.step, step.first_step, skipped);
  const float* w = context.data<float>(step.parameters);
  const float* gradients = context.data<float>(step.gradients);
  const float* decay = context.data<float>(step.decay);
  const float* rates = context.data<float>(step.rates);  // or null
  const auto* ends = context.data<std::int32_t>(call.ends);
  float* ratios = context.data<float>(call.ratios);
  struct Sums {
    double weights = 0, directions = 0;  // of squares
  };
  std::vector<Sums> sums(static_cast<std::size_t>(call.ratios.count));
  with_rule<float>(context, step, [&](const auto& rule, const auto& moments) {
    const auto at = reference_step(rule, 1.0f, t);
    for_each_run<parameter_alignment>(context.threads(), step.parameters.count,
                                      [&, at](std::int64_t run, std::int64_t i, std::int64_t end) {
                                        float weights = 0, directions = 0;
                                        for (; i < end; ++i) {
                                          auto own = moments.load(i);
                                          const float u = direction(rule, at, decay[run], w[i],
                                                                    inverse * gradients[i], own);
                                          weights += w[i] * w[i];
                                          directions += u * u;
                                        }
                                        sums[static_cast<std::size_t>(run)] = {weights, directions};
                                      });
  });
  std::int64_t begin = 0;
  for (std::int64_t p = 0; p < call.ends.count; ++p) {
    const std::int64_t end = ends[p] - call.first_run;
    Sums whole;
    for (std::int64_t run = begin; run < end; ++run) {
      whole.weights += sums[static_cast<std::size_t>(run)].weights;
      whole.directions += sums[static_cast<std::size_t>(run)].directions;
    }
    for (std::int64_t run = begin; run < end; ++run)
      ratios[run] =
          trust_ratio(whole.weights, whole.directions, decay[run]) * (rates != nullptr ? rates[run] : 1.0f);
    begin = end;
  }
}

}  // namespace convoy
