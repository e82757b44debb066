// Optimizer steps on the CPU: one pass over parameters, gradients and moments, bound by memory.
#include "kernels/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/loss_scale.h"
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

template <bool nesterov>
void sgd_momentum(ThreadPool& threads, float* w, const float* g, float* m, const float* decay,
                  std::int64_t count, float rate, float momentum, float scale) {
  for_each_run<parameter_alignment>(threads, count, [=](std::int64_t run, std::int64_t i, std::int64_t end) {
    const float factor = decay[run];
    for (; i < end; ++i) {
      const float gradient = scale * g[i] + factor * w[i];
      const float velocity = momentum * m[i] + gradient;
      m[i] = velocity;
      w[i] -= rate * (nesterov ? gradient + momentum * velocity : velocity);
    }
  });
}

template <bool decoupled>
void adam(ThreadPool& threads, const AdamStep& call, float* w, const float* g, float* mean, float* variance,
          const float* decay, float rate, double step, float scale) {
  const float beta1 = call.beta1, beta2 = call.beta2, epsilon = call.epsilon;
  const auto correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(beta1), step));
  const auto correction2 = static_cast<float>(1.0 - std::pow(static_cast<double>(beta2), step));
  const float scaled_rate = rate / correction1, inv_root = 1.0f / std::sqrt(correction2);
  for_each_run<parameter_alignment>(
      threads, call.parameters.count, [=](std::int64_t run, std::int64_t i, std::int64_t end) {
        const float factor = decay[run];
        for (; i < end; ++i) {
          const float gradient = decoupled ? scale * g[i] : scale * g[i] + factor * w[i];
          const float weight = decoupled ? w[i] - rate * factor * w[i] : w[i];
          const float m = beta1 * mean[i] + (1.0f - beta1) * gradient;
          const float v = beta2 * variance[i] + (1.0f - beta2) * gradient * gradient;
          mean[i] = m;
          variance[i] = v;
          w[i] = weight - scaled_rate * m / (std::sqrt(v) * inv_root + epsilon);
        }
      });
}

}  // namespace

void launch(const CpuContext& context, const SgdStep& call) {
  const Unscale scale = unscale(context, call.loss_scale);
  if (scale.skip) return;
  float* w = context.data<float>(call.parameters);
  const float* g = context.data<float>(call.gradients);
  const float* decay = context.data<float>(call.decay);
  const std::int64_t count = call.parameters.count;
  const float rate = context.state.learning_rate;
  if (!call.velocity) {
    for_each_run<parameter_alignment>(context.threads(), count,
                                      [=](std::int64_t run, std::int64_t i, std::int64_t end) {
                                        const float factor = decay[run];
                                        for (; i < end; ++i)
                                          w[i] -= rate * (scale.factor * g[i] + factor * w[i]);
                                      });
  } else if (call.nesterov) {
    sgd_momentum<true>(context.threads(), w, g, context.data<float>(call.velocity), decay, count, rate,
                       call.momentum, scale.factor);
  } else {
    sgd_momentum<false>(context.threads(), w, g, context.data<float>(call.velocity), decay, count, rate,
                        call.momentum, scale.factor);
  }
  copy_to_compute_weights(context, call.parameters, call.compute_weights);
}

void launch(const CpuContext& context, const AdamStep& call) {
  const Unscale scale = unscale(context, call.loss_scale);
  if (scale.skip) return;
  float* w = context.data<float>(call.parameters);
  const float* g = context.data<float>(call.gradients);
  float* mean = context.data<float>(call.mean);
  float* variance = context.data<float>(call.variance);
  const float* decay = context.data<float>(call.decay);
  const double step = static_cast<double>(context.state.step + 1) - static_cast<double>(scale.skipped_steps);
  const auto run = call.decoupled ? adam<true> : adam<false>;
  run(context.threads(), call, w, g, mean, variance, decay, context.state.learning_rate, step, scale.factor);
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
