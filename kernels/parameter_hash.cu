// Hash of values (count) f32: threads stride over them, warps and blocks add up, one atomic per block ends
// it. Integer sums come out the same in any order. Limited by the launch for all but the largest tensors,
// then by bytes.
#include <algorithm>

#include "core/ceil_div.h"
#include "kernels/cuda_device.cuh"
#include "kernels/parameter_hash.h"

namespace convoy {
namespace {

constexpr std::int64_t most_blocks = 264;

__global__ void __launch_bounds__(block_size)
    parameter_hash_kernel(std::int64_t count, const float* __restrict__ values,
                          unsigned long long* __restrict__ hash) {
  unsigned long long sum = 0;
  const std::int64_t stride = std::int64_t{gridDim.x} * block_size;
  for (std::int64_t i = std::int64_t{blockIdx.x} * block_size + threadIdx.x; i < count; i += stride)
    sum += hash_term(static_cast<std::uint64_t>(i), __float_as_uint(values[i]));
  for (int lane = warp_size / 2; lane > 0; lane /= 2) sum += __shfl_down_sync(0xffffffffu, sum, lane);
  __shared__ unsigned long long sums[block_size / warp_size];
  if (threadIdx.x % warp_size == 0) sums[threadIdx.x / warp_size] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < block_size / warp_size; ++warp) sum += sums[warp];
  atomicAdd(hash, sum);
}

}  // namespace

void launch(const CudaContext& context, const ParameterHash& call) {
  const std::int64_t count = call.values.count;
  auto* const hash = context.data<std::int32_t>(call.hash);
  check(reinterpret_cast<std::uintptr_t>(hash) % alignof(unsigned long long) == 0,
        "a hash is aligned to 8 bytes");
  check_cuda(cudaMemsetAsync(hash, 0, sizeof(unsigned long long), context.stream));
  if (count == 0) return;
  constexpr std::int64_t per_block = std::int64_t{block_size} * 4;
  const auto blocks = static_cast<unsigned>(std::min(ceil_div(count, per_block), most_blocks));
  parameter_hash_kernel<<<blocks, block_size, 0, context.stream>>>(
      count, context.data<const float>(call.values), reinterpret_cast<unsigned long long*>(hash));
  check_launch();
}

}  // namespace convoy
