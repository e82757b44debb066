// out (count) = sum of partials (splits,count). A block takes 256 / Lanes columns; lane l of a column sums
// the splits l, l + Lanes, …, then the first lane adds the lanes' sums in their order. Limited by bytes
// (mostly L2).
#include "core/ceil_div.h"
#include "kernels/cuda_context.h"
#include "kernels/split_sum.h"

namespace convoy {
namespace {

constexpr int threads = 256;

__device__ __forceinline__ void accumulate(float& sum, float value) {
  sum += value;
}
__device__ __forceinline__ void accumulate(float4& sum, float4 value) {
  sum.x += value.x, sum.y += value.y, sum.z += value.z, sum.w += value.w;
}

template <int Lanes, class Vector>
__global__ void __launch_bounds__(threads)
    sum_splits_kernel(const Vector* __restrict__ partials, Vector* __restrict__ out, int splits,
                      std::int64_t count) {
  constexpr int columns = threads / Lanes;
  __shared__ Vector lane_sums[Lanes][columns];
  const int column = static_cast<int>(threadIdx.x) % columns, lane = static_cast<int>(threadIdx.x) / columns;
  const std::int64_t i = std::int64_t{blockIdx.x} * columns + column;
  Vector sum{};
  if (i < count) {
#pragma unroll 8
    for (int s = lane; s < splits; s += Lanes) accumulate(sum, partials[s * count + i]);
  }
  if constexpr (Lanes > 1) {
    lane_sums[lane][column] = sum;
    __syncthreads();
    if (lane > 0) return;
    for (int l = 1; l < Lanes; ++l) accumulate(sum, lane_sums[l][column]);
  }
  if (i < count) out[i] = sum;
}

template <int Lanes, class Vector>
void launch_sum(const CudaContext& context, const float* partials, float* out, int splits,
                std::int64_t count) {
  const std::int64_t columns = threads / Lanes, blocks = ceil_div(count, columns);
  sum_splits_kernel<Lanes><<<static_cast<unsigned>(blocks), threads, 0, context.stream>>>(
      reinterpret_cast<const Vector*>(partials), reinterpret_cast<Vector*>(out), splits, count);
  check_launch();
}

template <class Vector>
void pick_lanes(const CudaContext& context, const float* partials, float* out, int splits,
                std::int64_t count) {
  if (splits >= 64)
    launch_sum<32, Vector>(context, partials, out, splits, count);
  else if (splits >= 16)
    launch_sum<8, Vector>(context, partials, out, splits, count);
  else
    launch_sum<1, Vector>(context, partials, out, splits, count);
}

}  // namespace

void sum_splits(const CudaContext& context, const float* partials, float* out, int splits,
                std::int64_t count) {
  if (count == 0) return;
  const bool quads = count % 4 == 0 && reinterpret_cast<std::uintptr_t>(out) % 16 == 0;
  if (quads)
    pick_lanes<float4>(context, partials, out, splits, count / 4);
  else
    pick_lanes<float>(context, partials, out, splits, count);
}

}  // namespace convoy
