// Optimizer steps over the flat parameter block, one launch, four parameters per thread (one where an address
// or the count is odd). Bytes limit them: SGD with momentum moves 20 per parameter, Adam 28.
#include <algorithm>
#include <variant>

#include "kernels/cuda_device.cuh"
#include "kernels/loss_scale.h"
#include "kernels/optimizer_device.cuh"

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

template <class Rule, class At, int V, std::size_t... m>
__device__ inline void update_one(const Rule& rule, const At& at, float decay, float& w, float g,
                                  Pack<V>* moments, int k, std::index_sequence<m...>) {
  rule.update(at, decay, w, g, moments[m].v[k]...);
}

template <class Rule, int V, class OnDevice, class T>
__global__ void __launch_bounds__(block_size)
    step_kernel(std::int64_t packs, const StepState* state, OnDevice rule, float* parameters,
                const float* gradients, Moments<Rule> moments, const float* decay, const float* rates,
                std::int64_t first_step, MixedPrecision<T> mixed) {
  constexpr int count = static_cast<int>(moment_count<Rule>);
  const std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x;
  if (i >= packs || mixed.skips()) return;
  const std::int64_t run = i * V / parameter_alignment;
  const float rate = rates == nullptr ? state->learning_rate : state->learning_rate * rates[run];
  const float t = OptimizerStep::step_number(state->step, first_step, mixed.skipped_steps());
  const auto at = at_step(rule, rate, t);
  const float factor = decay[run];
  Pack<V> w = load<V>(parameters, i);
  Pack<V> g = load<V>(gradients, i);
  mixed.unscale(g);
  Pack<V> m[count > 0 ? count : 1] = {};
#pragma unroll
  for (int j = 0; j < count; ++j) {
    if (moments.has(j)) m[j] = load<V>(moments.of[j], i);
  }
#pragma unroll
  for (int k = 0; k < V; ++k) {
    update_one(rule, at, factor, w.v[k], g.v[k], m, k, std::make_index_sequence<moment_count<Rule>>{});
  }
  store<V>(parameters, i, w);
  mixed.keep(i, w);
#pragma unroll
  for (int j = 0; j < count; ++j) {
    if (moments.has(j)) store<V>(moments.of[j], i, m[j]);
  }
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

void check_factors(const Tensor& parameters, const Tensor& factors) {
  check(factors.count * parameter_alignment >= parameters.count, "fewer factors than parameters");
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

void launch(const CudaContext& context, const OptimizerStep& call) {
  const std::int64_t count = call.parameters.count;
  if (count == 0) return;
  check_factors(call.parameters, call.decay);
  if (call.rates) check_factors(call.parameters, call.rates);
  check_moments(call);
  auto* parameters = context.data<float>(call.parameters);
  const auto* gradients = context.data<const float>(call.gradients);
  const auto* decay = context.data<const float>(call.decay);
  const auto* rates = context.data<const float>(call.rates);
  const auto step = [&]<class Rule>(const Rule& rule) {
    const auto moments = moments_on_device<Rule>(context, call);
    with_mixed_precision(context, call, [&](auto mixed) {
      int widest = pack_width<float>(count, parameters, gradients, mixed.compute_weights);
      for (const float* moment : moments.of) widest = std::min(widest, pack_width<float>(count, moment));
      with_pack_width<float>(widest, [&](auto width) {
        constexpr int v = decltype(width)::value;
        const std::int64_t packs = count / v;
        step_kernel<Rule, v><<<blocks_for(packs), block_size, 0, context.stream>>>(
            packs, context.state, on_device(rule), parameters, gradients, moments, decay, rates,
            call.first_step, mixed);
      });
    });
  };
  std::visit(step, call.rule);
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
