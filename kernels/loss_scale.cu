// Norm and finiteness of the gradients: blocks add squares of fixed runs in double, one more block adds the
// blocks in order. Limited by bytes, for small networks by the two launches.
#include <algorithm>

#include "core/ceil_div.h"
#include "kernels/cuda_device.cuh"
#include "kernels/loss_scale.h"

namespace convoy {
namespace {

constexpr std::int64_t most_blocks = 528;

/// From the count alone, as it sets the order of the sum.
int blocks_of(std::int64_t count) {
  constexpr std::int64_t per_block = block_size * 16;
  return static_cast<int>(std::clamp<std::int64_t>(ceil_div(count, per_block), 1, most_blocks));
}

/// The sum over the block, on thread 0.
__device__ double block_sum(double value) {
  __shared__ double sums[block_size / warp_size];
  value = warp_sum(value);
  if (threadIdx.x % warp_size == 0) sums[threadIdx.x / warp_size] = value;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int warp = 1; warp < block_size / warp_size; ++warp) value += sums[warp];
  }
  return value;
}

template <int V>
__global__ void __launch_bounds__(block_size)
    sum_squares_kernel(std::int64_t packs, const float* __restrict__ gradients,
                       double* __restrict__ partials) {
  double sum = 0.0;
  const std::int64_t stride = std::int64_t{gridDim.x} * block_size;
#pragma unroll 4
  for (std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x; i < packs; i += stride) {
    const Pack<V> g = load<V>(gradients, i);
    float squares = 0.0f;  // of a few: an overflow to infinity can only come from gradients beyond 1e19
#pragma unroll
    for (int k = 0; k < V; ++k) squares = fmaf(g.v[k], g.v[k], squares);
    sum += static_cast<double>(squares);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(block_size) advance_kernel(int blocks, const double* __restrict__ partials,
                                                             loss_scale::Rules rules, float* loss_scale) {
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += block_size) sum += partials[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) loss_scale::advance(loss_scale, sum, rules);
}

}  // namespace

template <>
std::int64_t workspace_bytes<CudaContext>(const CheckGradients& call) {
  return std::int64_t{sizeof(double)} * blocks_of(call.gradients.count);
}

void launch(const CudaContext& context, const CheckGradients& call) {
  const std::int64_t count = call.gradients.count;
  const int blocks = blocks_of(count);
  const auto* gradients = context.data<const float>(call.gradients);
  auto* partials = context.arenas.workspace<double>(workspace_bytes<CudaContext>(call));
  with_pack_width<float>(pack_width<float>(count, gradients), [&](auto width) {
    constexpr int v = decltype(width)::value;
    sum_squares_kernel<v>
        <<<static_cast<unsigned>(blocks), block_size, 0, context.stream>>>(count / v, gradients, partials);
  });
  check_launch();
  advance_kernel<<<1, block_size, 0, context.stream>>>(blocks, partials, call.rules,
                                                       context.data<float>(call.loss_scale));
  check_launch();
}

}  // namespace convoy
