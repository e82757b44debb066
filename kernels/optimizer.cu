// Optimizer steps over the flat parameter block, one launch, four parameters per thread (one where an address
// or the count is odd). Bytes limit them: SGD with momentum moves 20 per parameter, Adam 28.
#include <cmath>

#include "kernels/cuda_device.cuh"
#include "kernels/optimizer.h"

namespace convoy {
namespace {

template <int V>
__global__ void __launch_bounds__(block_size)
    sgd_kernel(std::int64_t packs, const StepState* state, float momentum, bool nesterov, float* parameters,
               const float* gradients, float* velocity, const float* decay) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs) return;
  const float rate = state->learning_rate;
  const float factor = decay[i * V / parameter_alignment];
  Pack<V> w = load<V>(parameters, i);
  Pack<V> g = load<V>(gradients, i);
  Pack<V> m{};
  if (velocity != nullptr) m = load<V>(velocity, i);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const float step = g.v[k] + factor * w.v[k];
    m.v[k] = momentum * m.v[k] + step;
    w.v[k] -= rate * (nesterov ? step + momentum * m.v[k] : m.v[k]);
  }
  store<V>(parameters, i, w);
  if (velocity != nullptr) store<V>(velocity, i, m);
}

struct AdamConstants {
  float beta1, beta2, epsilon;
  float log_beta1, log_beta2;  // the corrections 1 - beta^t are -expm1(t log beta)
  bool decoupled;
};

template <int V>
__global__ void __launch_bounds__(block_size)
    adam_kernel(std::int64_t packs, const StepState* state, AdamConstants adam, float* parameters,
                const float* gradients, float* mean, float* variance, const float* decay) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs) return;
  const float rate = state->learning_rate;
  const auto t = static_cast<float>(state->step + 1);
  const float inv_correction1 = 1.0f / -expm1f(t * adam.log_beta1);
  const float inv_correction2 = 1.0f / -expm1f(t * adam.log_beta2);
  const float factor = decay[i * V / parameter_alignment];
  Pack<V> w = load<V>(parameters, i);
  Pack<V> g = load<V>(gradients, i);
  Pack<V> m = load<V>(mean, i);
  Pack<V> v = load<V>(variance, i);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    if (adam.decoupled) {
      w.v[k] -= rate * factor * w.v[k];
    } else {
      g.v[k] += factor * w.v[k];
    }
    m.v[k] = adam.beta1 * m.v[k] + (1.0f - adam.beta1) * g.v[k];
    v.v[k] = adam.beta2 * v.v[k] + (1.0f - adam.beta2) * g.v[k] * g.v[k];
    w.v[k] -= rate * (m.v[k] * inv_correction1) / (sqrtf(v.v[k] * inv_correction2) + adam.epsilon);
  }
  store<V>(parameters, i, w);
  store<V>(mean, i, m);
  store<V>(variance, i, v);
}

void check_decay(const Tensor& parameters, const Tensor& decay) {
  check(decay.count * parameter_alignment >= parameters.count, "fewer weight-decay factors than parameters");
}

}  // namespace

void launch(const CudaContext& context, const SgdStep& call) {
  const std::int64_t count = call.parameters.count;
  if (count == 0) return;
  check_decay(call.parameters, call.decay);
  check(call.velocity || call.momentum == 0.0f, "momentum without velocity");
  auto* parameters = context.data<float>(call.parameters);
  const auto* gradients = context.data<const float>(call.gradients);
  auto* velocity = context.data<float>(call.velocity);
  const auto* decay = context.data<const float>(call.decay);
  with_pack_width(in_fours(count, parameters, gradients, velocity), [&](auto width) {
    constexpr int v = decltype(width)::value;
    const std::int64_t packs = count / v;
    sgd_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(
        packs, context.state, call.momentum, call.nesterov, parameters, gradients, velocity, decay);
  });
  check_launch();
}

void launch(const CudaContext& context, const AdamStep& call) {
  const std::int64_t count = call.parameters.count;
  if (count == 0) return;
  check_decay(call.parameters, call.decay);
  auto* parameters = context.data<float>(call.parameters);
  const auto* gradients = context.data<const float>(call.gradients);
  auto* mean = context.data<float>(call.mean);
  auto* variance = context.data<float>(call.variance);
  const auto* decay = context.data<const float>(call.decay);
  const auto log_of = [](float beta) { return static_cast<float>(std::log(static_cast<double>(beta))); };
  const AdamConstants adam{call.beta1,         call.beta2,         call.epsilon,
                           log_of(call.beta1), log_of(call.beta2), call.decoupled};
  with_pack_width(in_fours(count, parameters, gradients, mean, variance), [&](auto width) {
    constexpr int v = decltype(width)::value;
    const std::int64_t packs = count / v;
    adam_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(
        packs, context.state, adam, parameters, gradients, mean, variance, decay);
  });
  check_launch();
}

}  // namespace convoy
