// Trust ratios: a warp adds the squares of a run, two elements per lane; then a block per parameter adds its
// runs in a fixed order and writes their ratios. Bytes limit the first, 16 per parameter with two moments.
#include <variant>

#include "kernels/cuda_device.cuh"
#include "kernels/loss_scale.h"
#include "kernels/optimizer_device.cuh"
#include "kernels/trust_ratios.h"

namespace convoy {
namespace {

constexpr int runs_per_block = block_size / warp_size;

/// Sums of squares of a run, or of a parameter.
struct Sums {
  double weights, directions;
};

template <class Rule, class OnDevice, std::size_t... m>
__device__ inline float direction_of(const OnDevice& rule, float rate, float t, float decay, float w, float g,
                                     const Moments<Rule>& moments, std::int64_t i,
                                     std::index_sequence<m...>) {
  float own[] = {moments.of[m][i]...};
  return rule.direction(at_step(rule, rate, t), decay, w, g, own[m]...);
}

template <class Rule, class OnDevice>
__global__ void __launch_bounds__(block_size)
    sum_runs_kernel(std::int64_t runs, const StepState* state, OnDevice rule,
                    const float* __restrict__ parameters, const float* __restrict__ gradients,
                    Moments<Rule> moments, const float* __restrict__ decay, std::int64_t first_step,
                    const float* __restrict__ scale, Sums* __restrict__ sums) {
  const std::int64_t run = std::int64_t{blockIdx.x} * runs_per_block + threadIdx.x / warp_size;
  if (run >= runs) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const float inverse = scale != nullptr ? scale[loss_scale::inverse] : 1.0f;
  const float skipped = scale != nullptr ? scale[loss_scale::skipped_steps] : 0.0f;
  const float t = OptimizerStep::step_number(state->step, first_step, skipped);
  float weights = 0.0f, directions = 0.0f;
  for (int k = lane; k < parameter_alignment; k += warp_size) {
    const std::int64_t i = run * parameter_alignment + k;
    const float w = parameters[i];
    const float u = direction_of<Rule>(rule, 1.0f, t, decay[run], w, inverse * gradients[i], moments, i,
                                       std::make_index_sequence<moment_count<Rule>>{});
    weights = fmaf(w, w, weights);
    directions = fmaf(u, u, directions);
  }
  weights = warp_sum(weights);
  directions = warp_sum(directions);
  if (lane == 0) sums[run] = {weights, directions};
}

__global__ void __launch_bounds__(block_size)
    trust_ratios_kernel(std::int64_t first_run, const std::int32_t* __restrict__ ends,
                        const Sums* __restrict__ sums, const float* __restrict__ decay,
                        const float* __restrict__ rates, float* __restrict__ ratios) {
  __shared__ Sums of_warps[block_size / warp_size];
  const std::int64_t begin = blockIdx.x == 0 ? 0 : ends[blockIdx.x - 1] - first_run;
  const std::int64_t end = ends[blockIdx.x] - first_run;
  if (begin >= end) return;  // the whole block; where only the speed is measured, ends are all zero
  double weights = 0.0, directions = 0.0;
  for (std::int64_t run = begin + threadIdx.x; run < end; run += block_size) {
    weights += sums[run].weights;
    directions += sums[run].directions;
  }
  weights = warp_sum(weights);
  directions = warp_sum(directions);
  if (threadIdx.x % warp_size == 0) of_warps[threadIdx.x / warp_size] = {weights, directions};
  __syncthreads();
  weights = directions = 0.0;
  for (const Sums& of_warp : of_warps) {
    weights += of_warp.weights;
    directions += of_warp.directions;
  }
  const float ratio = trust_ratio(weights, directions, decay[begin]);
  for (std::int64_t run = begin + threadIdx.x; run < end; run += block_size)
    ratios[run] = rates != nullptr ? ratio * rates[run] : ratio;
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const TrustRatios& call) {
  return std::int64_t{sizeof(Sums)} * call.ratios.count;
}

void launch(const CudaContext& context, const TrustRatios& call) {
  const OptimizerStep& step = call.step;
  const std::int64_t runs = call.ratios.count;
  if (call.ends.count == 0) return;
  check(runs * parameter_alignment == step.parameters.count, "parameters that end within a run");
  check_moments(step);
  const auto* decay = context.data<const float>(step.decay);
  auto* sums = context.arenas.workspace<Sums>(workspace_bytes<CudaContext>(call));
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        if constexpr (is_layer_wise<Rule>) {
          sum_runs_kernel<Rule><<<blocks_for(runs, runs_per_block), block_size, 0, context.stream>>>(
              runs, context.state, on_device(rule), context.data<const float>(step.parameters),
              context.data<const float>(step.gradients), moments_on_device<Rule>(context, step), decay,
              step.first_step, context.data<const float>(step.loss_scale), sums);
        } else {
          fail("internal error: trust ratios of {}", step.name());
        }
      },
      step.rule);
  check_launch();
  trust_ratios_kernel<<<static_cast<unsigned>(call.ends.count), block_size, 0, context.stream>>>(
      call.first_run, context.data<const std::int32_t>(call.ends), sums, decay,
      context.data<const float>(step.rates), context.data<float>(call.ratios));
  check_launch();
}

}  // namespace convoy
