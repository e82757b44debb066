// Optimizer steps on the CPU: one pass over parameters, gradients and moments, bound by memory.
#include "kernels/optimizer.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "core/ceil_div.h"
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

/// The same for each learning rate that the call has, made once: there are as many as groups, or parameters.
template <class Rule>
class AtRates {
 public:
  using At = decltype(at_step(std::declval<const Rule&>(), 0.0f, 0.0));
  AtRates(const Rule& rule, float rate, double t, const OptimizerStep& call, const float* factors)
      : factors_(factors) {
    if (factors == nullptr) {
      ats_.push_back({1.0f, at_step(rule, rate, t)});
      return;
    }
    std::vector<float> distinct;  // first one per parameter or so: neighbours are alike
    std::unique_copy(factors, factors + ceil_div(call.parameters.count, parameter_alignment),
                     std::back_inserter(distinct));
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    for (const float factor : distinct) ats_.push_back({factor, at_step(rule, rate * factor, t)});
  }
  const At& of(std::int64_t run) const {
    return factors_ == nullptr ? ats_.front().second : find(factors_[run])->second;
  }

 private:
  auto find(float factor) const {
    return std::lower_bound(ats_.begin(), ats_.end(), factor,
                            [](const auto& at, float wanted) { return at.first < wanted; });
  }
  std::vector<std::pair<float, At>> ats_;
  const float* factors_;  ///< one per run; null: all 1
};

}  // namespace

void launch(const CpuContext& context, const OptimizerStep& call) {
  const Unscale scale = unscale(context, call.loss_scale);
  if (scale.skip) return;
  float* w = context.data<float>(call.parameters);
  const float* gradients = context.data<float>(call.gradients);
  const float* decay = context.data<float>(call.decay);
  const double t = OptimizerStep::step_number(context.state.step, call.first_step,
                                              static_cast<double>(scale.skipped_steps));
  const float rate = context.state.learning_rate;
  with_rule<float>(context, call, [&](const auto& rule, const auto& moments) {
    const AtRates at(rule, rate, t, call, context.data<float>(call.rates));
    const auto one_run = [=, &at](std::int64_t run, std::int64_t i, std::int64_t end) {
      // Local copies: the compiler sees that no store to w changes them.
      const auto local_rule = rule;
      const auto local_at = at.of(run);
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
