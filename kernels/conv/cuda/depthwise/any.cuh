// Depthwise convolutions with any window, of images and volumes: a thread per vector of channels of a result.
#pragma once

#include "kernels/conv/cuda/depthwise/plan.h"
#include "kernels/cuda_device.cuh"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy::depthwise {

/// One axis of the window: output o reads, at tap t, input o·stride - pad + t·dilation.
struct AnyAxis {
  int in, out, taps, stride, pad, dilation;
  __device__ int input(int o, int tap) const { return o * stride - pad + tap * dilation; }
  __device__ bool has_input(int i) const { return i >= 0 && i < in; }
  /// The output that reads input i at a tap; negative where none does.
  __device__ int output(int i, int tap) const {
    const int steps = i + pad - tap * dilation;
    if (steps < 0 || steps % stride != 0) return -1;
    const int o = steps / stride;
    return o < out ? o : -1;
  }
};

/// x (N,D,H,W,C), y (N,O,P,Q,C), w (C,T,R,S), in vectors of channels.
struct AnyGeometry {
  AnyAxis d, h, w;
  int vectors;  ///< of a pixel
  int taps;
  FastDivide by_vectors, by_w, by_h, by_d;  ///< of the side that has a thread per pixel

  struct Position {
    int image, d, h, w, vector;
  };
  __device__ Position position(std::uint32_t index) const {
    Position at{};
    at.vector = static_cast<int>(by_vectors.divide(index));
    at.w = static_cast<int>(by_w.divide(index));
    at.h = static_cast<int>(by_h.divide(index));
    at.d = static_cast<int>(by_d.divide(index));
    at.image = static_cast<int>(index);
    return at;
  }
  __device__ std::int64_t x_vector(int image, int id, int ih, int iw, int vector) const {
    return (((std::int64_t{image} * d.in + id) * h.in + ih) * w.in + iw) * vectors + vector;
  }
  __device__ std::int64_t y_vector(int image, int od, int oh, int ow, int vector) const {
    return (((std::int64_t{image} * d.out + od) * h.out + oh) * w.out + ow) * vectors + vector;
  }
  __device__ int tap(int t, int r, int s) const { return (t * h.taps + r) * w.taps + s; }
};

/// sum += value * (the weights of a vector's channels at a tap).
template <int V, class T>
__device__ __forceinline__ void add_product(const AnyGeometry& g, const T* w, int vector, int tap,
                                            const Pack<V>& value, Pack<V>& sum) {
#pragma unroll
  for (int c = 0; c < V; ++c) {
    const float weight = to_float(w[(std::int64_t{vector} * V + c) * g.taps + tap]);
    sum.v[c] = fmaf(value.v[c], weight, sum.v[c]);
  }
}

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    any_fprop_kernel(std::uint32_t count, const __grid_constant__ AnyGeometry g, const T* __restrict__ x,
                     const T* __restrict__ w, const float* __restrict__ bias, T* __restrict__ y,
                     LeakyReluEpilogue activation) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  const auto at = g.position(i);
  Pack<V> sum{};
  for (int t = 0; t < g.d.taps; ++t) {
    const int d = g.d.input(at.d, t);
    if (!g.d.has_input(d)) continue;
    for (int r = 0; r < g.h.taps; ++r) {
      const int h = g.h.input(at.h, r);
      if (!g.h.has_input(h)) continue;
      for (int s = 0; s < g.w.taps; ++s) {
        const int col = g.w.input(at.w, s);
        if (!g.w.has_input(col)) continue;
        add_product(g, w, at.vector, g.tap(t, r, s), load<V>(x, g.x_vector(at.image, d, h, col, at.vector)),
                    sum);
      }
    }
  }
#pragma unroll
  for (int c = 0; c < V; ++c)
    sum.v[c] = activation.f(bias != nullptr ? sum.v[c] + bias[at.vector * V + c] : sum.v[c]);
  store<V>(y, i, sum);
}

template <int V, class T>
__global__ void __launch_bounds__(block_size)
    any_dgrad_kernel(std::uint32_t count, const __grid_constant__ AnyGeometry g, const T* __restrict__ dy,
                     const T* __restrict__ w, T* __restrict__ dx) {
  const std::uint32_t i = blockIdx.x * block_size + threadIdx.x;
  if (i >= count) return;
  const auto at = g.position(i);
  Pack<V> sum{};
  for (int t = 0; t < g.d.taps; ++t) {
    const int o = g.d.output(at.d, t);
    if (o < 0) continue;
    for (int r = 0; r < g.h.taps; ++r) {
      const int p = g.h.output(at.h, r);
      if (p < 0) continue;
      for (int s = 0; s < g.w.taps; ++s) {
        const int q = g.w.output(at.w, s);
        if (q < 0) continue;
        add_product(g, w, at.vector, g.tap(t, r, s), load<V>(dy, g.y_vector(at.image, o, p, q, at.vector)),
                    sum);
      }
    }
  }
  store<V>(dx, i, sum);
}

/// Thread (x, y) of block (x, y, z): a vector of channels, a tap, and split z of the rows of output pixels.
template <int V, class T>
__global__ void __launch_bounds__(depthwise_threads)
    any_wgrad_kernel(const __grid_constant__ AnyGeometry g, const T* __restrict__ x, const T* __restrict__ dy,
                     float* __restrict__ partials, int rows, int chunk) {
  const int vector = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x),
            tap = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (vector >= g.vectors || tap >= g.taps) return;
  const int s = tap % g.w.taps, r = tap / g.w.taps % g.h.taps, t = tap / g.w.taps / g.h.taps;
  const int begin = static_cast<int>(blockIdx.z) * chunk, end = min(begin + chunk, rows);
  Pack<V> sum{};
  for (int row = begin; row < end; ++row) {
    const int p = row % g.h.out, o = row / g.h.out % g.d.out, image = row / g.h.out / g.d.out;
    const int h = g.h.input(p, r), d = g.d.input(o, t);
    if (!g.h.has_input(h) || !g.d.has_input(d)) continue;
    for (int q = 0; q < g.w.out; ++q) {
      const int col = g.w.input(q, s);
      if (!g.w.has_input(col)) continue;
      const Pack<V> pixel = load<V>(x, g.x_vector(image, d, h, col, vector)),
                    gradient = load<V>(dy, g.y_vector(image, o, p, q, vector));
#pragma unroll
      for (int c = 0; c < V; ++c) sum.v[c] = fmaf(pixel.v[c], gradient.v[c], sum.v[c]);
    }
  }
  const std::int64_t channels = std::int64_t{g.vectors} * V;
#pragma unroll
  for (int c = 0; c < V; ++c)
    partials[(blockIdx.z * channels + std::int64_t{vector} * V + c) * g.taps + tap] = sum.v[c];
}

}  // namespace convoy::depthwise
