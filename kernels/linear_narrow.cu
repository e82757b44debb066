// Work is small (N·C·K of a few 10^5), so latency limits: many short sums side by side, one launch each. All
// but bias and dw is stored as T.
#include <cstdint>

#include "core/ceil_div.h"
#include "kernels/cuda_device.cuh"
#include "kernels/linear_narrow.h"

namespace convoy {
namespace {

constexpr int warp = 32;
constexpr int warps_per_block = 8;
constexpr int threads = warp * warps_per_block;

unsigned blocks_of(std::int64_t count, std::int64_t per_block) {
  return static_cast<unsigned>(ceil_div(count, per_block));
}

/// y (N,K): a warp per element; lanes take every 32nd column, then a fixed tree.
template <class T>
__global__ void __launch_bounds__(threads)
    forward_kernel(const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias,
                   T* __restrict__ y, std::int64_t count, int c, int k, LeakyReluEpilogue activation) {
  const std::int64_t element = std::int64_t{blockIdx.x} * warps_per_block + threadIdx.x / warp;
  if (element >= count) return;
  const int lane = static_cast<int>(threadIdx.x % warp), column = static_cast<int>(element % k);
  const T* row = x + element / k * c;
  const T* weights = w + std::int64_t{column} * c;
  float sum = 0.0f;
#pragma unroll 4
  for (int i = lane; i < c; i += warp) sum = fmaf(to_float(row[i]), to_float(weights[i]), sum);
#pragma unroll
  for (int offset = warp / 2; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (lane == 0) y[element] = from_float<T>(activation.f(bias == nullptr ? sum : sum + bias[column]));
}

/// dx (N,C): a thread per element, over the few outputs.
template <class T>
__global__ void __launch_bounds__(threads)
    dgrad_kernel(const T* __restrict__ dy, const T* __restrict__ w, T* __restrict__ dx, int n, int c, int k) {
  const std::int64_t element = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  if (element >= std::int64_t{n} * c) return;
  const std::int64_t row = element / c;
  const int column = static_cast<int>(element % c);
  float sum = 0.0f;
#pragma unroll 8
  for (int i = 0; i < k; ++i)
    sum = fmaf(to_float(dy[row * k + i]), to_float(w[std::int64_t{i} * c + column]), sum);
  dx[element] = from_float<T>(sum);
}

/// dw (K,C): a block for 32 columns of one output; its warps share the rows, then add up in order.
template <class T>
__global__ void __launch_bounds__(threads) wgrad_kernel(const T* __restrict__ x, const T* __restrict__ dy,
                                                        float* __restrict__ dw, int n, int c, int k) {
  __shared__ float partial[warps_per_block][warp];
  const int lane = static_cast<int>(threadIdx.x % warp), part = static_cast<int>(threadIdx.x / warp);
  const int column = static_cast<int>(blockIdx.x) * warp + lane, output = static_cast<int>(blockIdx.y);
  float sum = 0.0f;
  if (column < c) {
#pragma unroll 16
    for (int row = part; row < n; row += warps_per_block) {
      sum = fmaf(to_float(dy[std::int64_t{row} * k + output]), to_float(x[std::int64_t{row} * c + column]),
                 sum);
    }
  }
  partial[part][lane] = sum;
  __syncthreads();
  if (part != 0 || column >= c) return;
#pragma unroll
  for (int i = 1; i < warps_per_block; ++i) sum += partial[i][lane];
  dw[std::int64_t{output} * c + column] = sum;
}

}  // namespace

void narrow_forward(const CudaContext& context, const LinearForward& call, LeakyReluEpilogue activation) {
  const auto [n, c, k] = call.shape;
  const std::int64_t count = std::int64_t{n} * k;
  if (count == 0) return;
  with_storage(call.x.dtype, [&]<class T>(T) {
    forward_kernel<<<blocks_of(count, warps_per_block), threads, 0, context.stream>>>(
        context.data<const T>(call.x), context.data<const T>(call.w), context.data<const float>(call.bias),
        context.data<T>(call.y), count, c, k, activation);
  });
  check_launch();
}

void narrow_dgrad(const CudaContext& context, const LinearDgrad& call) {
  const auto [n, c, k] = call.shape;
  const std::int64_t count = std::int64_t{n} * c;
  if (count == 0) return;
  with_storage(call.dx.dtype, [&]<class T>(T) {
    dgrad_kernel<<<blocks_of(count, threads), threads, 0, context.stream>>>(
        context.data<const T>(call.dy), context.data<const T>(call.w), context.data<T>(call.dx), n, c, k);
  });
  check_launch();
}

void narrow_wgrad(const CudaContext& context, const LinearWgrad& call) {
  const auto [n, c, k] = call.shape;
  if (c == 0 || k == 0) return;
  with_storage(call.x.dtype, [&]<class T>(T) {
    wgrad_kernel<<<dim3(blocks_of(c, warp), static_cast<unsigned>(k)), threads, 0, context.stream>>>(
        context.data<const T>(call.x), context.data<const T>(call.dy), context.data<float>(call.dw), n, c, k);
  });
  check_launch();
}

}  // namespace convoy
