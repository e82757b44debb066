// Optimizer steps over the flat parameter block, one launch, four parameters per thread (one where an address
// or the count is odd). Bytes limit them: SGD with momentum moves 20 per parameter, Adam 28.
#include <cmath>

#include "kernels/cuda_device.cuh"
#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"

namespace convoy {
namespace {

/// What is optional of a step: the loss scale's state, and where a copy of the parameters goes, as T.
template <class T>
struct MixedPrecision {
  T* compute_weights;
  const float* state;

  __device__ bool skips() const { return state != nullptr && state[loss_scale::skip] != 0.0f; }
  __device__ float skipped_steps() const {
    return state != nullptr ? state[loss_scale::skipped_steps] : 0.0f;
  }
  template <int V>
  __device__ void unscale(Pack<V>& gradients) const {
    if (state == nullptr) return;
    const float inverse = state[loss_scale::inverse];
#pragma unroll
    for (int k = 0; k < V; ++k) gradients.v[k] *= inverse;
  }
  template <int V>
  __device__ void keep(std::int64_t pack, const Pack<V>& parameters) const {
    if (compute_weights != nullptr) store<V>(compute_weights, pack, parameters);
  }
};

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    sgd_kernel(std::int64_t packs, const StepState* state, float momentum, bool nesterov, float* parameters,
               const float* gradients, float* velocity, const float* decay, MixedPrecision<T> mixed) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs || mixed.skips()) return;
  const float rate = state->learning_rate;
  const float factor = decay[i * V / parameter_alignment];
  Pack<V> w = load<V>(parameters, i);
  Pack<V> g = load<V>(gradients, i);
  mixed.unscale(g);
  Pack<V> m{};
  if (velocity != nullptr) m = load<V>(velocity, i);
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const float step = g.v[k] + factor * w.v[k];
    m.v[k] = momentum * m.v[k] + step;
    w.v[k] -= rate * (nesterov ? step + momentum * m.v[k] : m.v[k]);
  }
  store<V>(parameters, i, w);
  mixed.keep(i, w);
  if (velocity != nullptr) store<V>(velocity, i, m);
}

struct AdamConstants {
  float beta1, beta2, epsilon;
  float log_beta1, log_beta2;  // the corrections 1 - beta^t are -expm1(t log beta)
  bool decoupled;
};

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    adam_kernel(std::int64_t packs, const StepState* state, AdamConstants adam, float* parameters,
                const float* gradients, float* mean, float* variance, const float* decay,
                MixedPrecision<T> mixed) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs || mixed.skips()) return;
  const float rate = state->learning_rate;
  const float t = static_cast<float>(state->step + 1) - mixed.skipped_steps();
  const float inv_correction1 = 1.0f / -expm1f(t * adam.log_beta1);
  const float inv_correction2 = 1.0f / -expm1f(t * adam.log_beta2);
  const float factor = decay[i * V / parameter_alignment];
  Pack<V> w = load<V>(parameters, i);
  Pack<V> g = load<V>(gradients, i);
  mixed.unscale(g);
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
  mixed.keep(i, w);
  store<V>(mean, i, m);
  store<V>(variance, i, v);
}

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    average_weights_kernel(std::int64_t packs, float decay, const float* __restrict__ parameters,
                           float* average, MixedPrecision<T> mixed) {
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs || mixed.skips()) return;
  const Pack<V> w = load<V>(parameters, i);
  Pack<V> a = load<V>(average, i);
#pragma unroll
  for (int k = 0; k < V; ++k) a.v[k] += (1.0f - decay) * (w.v[k] - a.v[k]);
  store<V>(average, i, a);
  mixed.keep(i, a);
}

void check_decay(const Tensor& parameters, const Tensor& decay) {
  check(decay.count * parameter_alignment >= parameters.count, "fewer weight-decay factors than parameters");
}

/// Calls function(MixedPrecision) with the type of the call's compute copy.
template <class Call, class Function>
void with_mixed_precision(const CudaContext& context, const Call& call, Function function) {
  with_storage(call.compute_weights ? call.compute_weights.dtype : DType::f32, [&](auto stored) {
    using T = decltype(stored);
    function(
        MixedPrecision<T>{context.data<T>(call.compute_weights), context.data<const float>(call.loss_scale)});
  });
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
  with_mixed_precision(context, call, [&](auto mixed) {
    const int widest = pack_width<float>(count, parameters, gradients, velocity, mixed.compute_weights);
    with_pack_width<float>(widest, [&](auto width) {
      constexpr int v = decltype(width)::value;
      const std::int64_t packs = count / v;
      sgd_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(
          packs, context.state, call.momentum, call.nesterov, parameters, gradients, velocity, decay, mixed);
    });
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
  with_mixed_precision(context, call, [&](auto mixed) {
    const int widest = pack_width<float>(count, parameters, gradients, mean, variance, mixed.compute_weights);
    with_pack_width<float>(widest, [&](auto width) {
      constexpr int v = decltype(width)::value;
      const std::int64_t packs = count / v;
      adam_kernel<v><<<blocks_for(packs), block_size, 0, context.stream>>>(
          packs, context.state, adam, parameters, gradients, mean, variance, decay, mixed);
    });
  });
  check_launch();
}

void launch(const CudaContext& context, const AverageWeights& call) {
  const std::int64_t count = call.parameters.count;
  if (count == 0) return;
  const auto* parameters = context.data<const float>(call.parameters);
  auto* average = context.data<float>(call.average);
  with_mixed_precision(context, call, [&](auto mixed) {
    const int widest = pack_width<float>(count, parameters, average, mixed.compute_weights);
    with_pack_width<float>(widest, [&](auto width) {
      constexpr int v = decltype(width)::value;
      average_weights_kernel<v><<<blocks_for(count / v), block_size, 0, context.stream>>>(
          count / v, call.decay, parameters, average, mixed);
    });
  });
  check_launch();
}

}  // namespace convoy
