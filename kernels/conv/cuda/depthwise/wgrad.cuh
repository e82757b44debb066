// wgrad of windows that the compiler knows. A thread has V channels of one row of the window, and goes over
// rows of output pixels by strips. A block adds up its lanes' sums in their order.
#pragma once

#include "kernels/conv/cuda/depthwise/strips.cuh"

namespace convoy::depthwise {

template <class T>
struct WgradProblem {
  const T *x, *dy;
  float* partials;  ///< (splits, C, taps)
  int channels, in_h, in_w, out_h, out_w, pad_h, pad_w;
  int rows, chunk;  ///< of output pixels: planes · out_h, and those of a split
  FastDivide by_out_h;
};

/// Block (x, y): block x of the channels, split y of the rows.
template <int V, int Size, int Stride, class T>
__global__ void __launch_bounds__(depthwise_threads)
    strips_wgrad_kernel(const __grid_constant__ WgradProblem<T> p) {
  __shared__ Pack<V> parts[depthwise_threads];
  constexpr int pixels = (strip_length - 1) * Stride + Size;
  const int r = static_cast<int>(threadIdx.y), lane = static_cast<int>(threadIdx.z),
            lanes = static_cast<int>(blockDim.z);
  const int channel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * V;
  const bool active = channel < p.channels;
  const int begin = static_cast<int>(blockIdx.y) * p.chunk, end = min(begin + p.chunk, p.rows);
  Pack<V> sums[Size] = {};
  for (int row = begin + lane; active && row < end; row += lanes) {
    auto plane = static_cast<std::uint32_t>(row);
    const int h = static_cast<int>(p.by_out_h.divide(plane)) * Stride - p.pad_h + r;
    if (h < 0 || h >= p.in_h) continue;
    const T* x_row = p.x + (std::int64_t{plane} * p.in_h + h) * p.in_w * p.channels + channel;
    const T* dy_row = p.dy + std::int64_t{row} * p.out_w * p.channels + channel;
    for (int q = 0; q < p.out_w; q += strip_length) {
      StoredPack<T, V> x[pixels], dy[strip_length];
      load_pixels<V>(dy_row, q, p.out_w, p.channels, dy);
      load_pixels<V>(x_row, q * Stride - p.pad_w, p.in_w, p.channels, x);
      Pack<V> gradient[strip_length];
#pragma unroll
      for (int i = 0; i < strip_length; ++i) gradient[i] = unpack(dy[i]);
#pragma unroll
      for (int j = 0; j < pixels; ++j) {
        const Pack<V> pixel = unpack(x[j]);
#pragma unroll
        for (int i = 0; i < strip_length; ++i) {
          const int s = j - i * Stride;
          if (s >= 0 && s < Size) multiply_add(sums[s], pixel, gradient[i]);
        }
      }
    }
  }
  const int thread = static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
  const int lane_threads = static_cast<int>(blockDim.y * blockDim.x);
#pragma unroll
  for (int s = 0; s < Size; ++s) {
    __syncthreads();
    parts[thread] = sums[s];
    __syncthreads();
    if (lane > 0 || !active) continue;
    Pack<V> sum = sums[s];
    for (int l = 1; l < lanes; ++l) {
#pragma unroll
      for (int c = 0; c < V; ++c) sum.v[c] += parts[thread + l * lane_threads].v[c];
    }
    float* to = p.partials + (std::int64_t{blockIdx.y} * p.channels + channel) * (Size * Size) + r * Size + s;
#pragma unroll
    for (int c = 0; c < V; ++c) to[c * Size * Size] = sum.v[c];
  }
}

}  // namespace convoy::depthwise
