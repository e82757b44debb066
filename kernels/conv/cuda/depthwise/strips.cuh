// fprop and dgrad of windows that the compiler knows. A thread has V channels of a strip of pixels along W: a
// row of the source goes to registers once for all taps and pixels that read it, and neighbouring threads
// meet in the first-level cache. Weights are in shared memory as floats.
#pragma once

#include "kernels/conv/cuda/depthwise/plan.h"
#include "kernels/cuda_device.cuh"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy::depthwise {

/// What a launch computes: to (planes, to_h, to_w, C) from (planes, from_h, from_w, C). A plane is an image,
/// or a slice of a volume.
template <class T>
struct StripProblem {
  const T* from;
  const T* w;         ///< (C, taps)
  const float* bias;  ///< (C) or null
  T* to;
  int channels, from_h, from_w, to_h, to_w;
  int pad_h, pad_w;  ///< of fprop; those that make a dgrad of stride 1 one may be negative
  bool reversed;     ///< taps in the opposite order: dgrad of stride 1
  LeakyReluEpilogue activation;
  FastDivide by_channel_blocks, by_strip_blocks, by_row_blocks;
};

/// Where a thread works.
struct Place {
  int vector;   ///< of the block's channels
  int channel;  ///< the first; beyond the last: nothing to do
  int strip, row;
  std::int64_t plane;
};
template <int V, class T>
__device__ __forceinline__ Place place_of(const StripProblem<T>& p) {
  std::uint32_t rest = blockIdx.x;
  const auto channel_block = p.by_channel_blocks.divide(rest), strip_block = p.by_strip_blocks.divide(rest),
             row_block = p.by_row_blocks.divide(rest);
  Place at;
  at.vector = static_cast<int>(threadIdx.x);
  at.channel = (static_cast<int>(channel_block * blockDim.x) + at.vector) * V;
  at.strip = static_cast<int>(strip_block * blockDim.y + threadIdx.y);
  at.row = static_cast<int>(row_block * blockDim.z + threadIdx.z);
  at.plane = rest;
  return at;
}

/// The weights of a block's channels, so that neighbouring vectors' quads are neighbours.
template <int V, int Taps>
struct SharedWeights {
  static constexpr int quads = (V + 3) / 4, per_quad = V / quads;
  float values[Taps][quads][ChannelBlocks::most_vectors][per_quad];

  /// By all threads of the block.
  template <class T>
  __device__ void load(const StripProblem<T>& p, int first_channel) {
    const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
    const int thread = static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
    const int channels = min(static_cast<int>(blockDim.x) * V, p.channels - first_channel);
    const T* from = p.w + std::int64_t{first_channel} * Taps;
    for (int i = thread; i < channels * Taps; i += threads) {
      const int channel = i / Taps, tap = p.reversed ? Taps - 1 - i % Taps : i % Taps;
      values[tap][channel % V / per_quad][channel / V][channel % per_quad] = to_float(from[i]);
    }
    __syncthreads();
  }
  __device__ __forceinline__ Pack<V> at(int tap, int vector) const {
    Pack<V> w;
#pragma unroll
    for (int q = 0; q < quads; ++q) {
      const Pack<per_quad> part = convoy::load<per_quad>(&values[tap][q][vector][0], 0);
#pragma unroll
      for (int i = 0; i < per_quad; ++i) w.v[q * per_quad + i] = part.v[i];
    }
    return w;
  }
};

/// `Count` pixels of a row of the source from coordinate `first` on, zeros outside.
template <int V, int Count, class T>
__device__ __forceinline__ void load_pixels(const T* row, int first, int width, int channels,
                                            StoredPack<T, V> (&pixels)[Count]) {
  const StoredPack<T, V> zero = rounded<T>(Pack<V>{});
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const int at = first + i;
    pixels[i] = zero;
    if (at >= 0 && at < width) pixels[i] = load_stored<V>(row + std::int64_t{at} * channels, 0);
  }
}

/// sum += pixel * w.
template <int V>
__device__ __forceinline__ void multiply_add(Pack<V>& sum, const Pack<V>& pixel, const Pack<V>& w) {
#pragma unroll
  for (int c = 0; c < V; ++c) sum.v[c] = fmaf(pixel.v[c], w.v[c], sum.v[c]);
}

/// Writes those of a strip's pixels that lie inside.
template <int V, class T>
__device__ __forceinline__ void store_strip(const StripProblem<T>& p, const Place& at, int first,
                                            Pack<V> (&sums)[strip_length]) {
  Pack<V> bias{};
  if (p.bias != nullptr) {
#pragma unroll
    for (int c = 0; c < V; ++c) bias.v[c] = p.bias[at.channel + c];
  }
  T* row = p.to + ((at.plane * p.to_h + at.row) * p.to_w) * p.channels + at.channel;
#pragma unroll
  for (int i = 0; i < strip_length; ++i) {
    const int q = first + i;
    if (q < 0 || q >= p.to_w) continue;
#pragma unroll
    for (int c = 0; c < V; ++c) sums[i].v[c] = p.activation.f(sums[i].v[c] + bias.v[c]);
    store<V>(row + std::int64_t{q} * p.channels, 0, sums[i]);
  }
}

/// Output pixel q reads pixels q·Stride - pad + s of the source at its taps s, and so along H.
template <int V, int Size, int Stride, class T>
__global__ void __launch_bounds__(depthwise_threads)
    strips_kernel(const __grid_constant__ StripProblem<T> p) {
  __shared__ __align__(16) SharedWeights<V, Size * Size> weights;
  const Place at = place_of<V>(p);
  weights.load(p, at.channel - at.vector * V);
  const int first = at.strip * strip_length;
  if (at.channel >= p.channels || at.row >= p.to_h || first >= p.to_w) return;
  constexpr int pixels = (strip_length - 1) * Stride + Size;
  const T* plane = p.from + at.plane * p.from_h * p.from_w * p.channels + at.channel;
  Pack<V> sums[strip_length] = {};
#pragma unroll(Size == 3 ? 3 : 1)
  for (int r = 0; r < Size; ++r) {
    const int h = at.row * Stride - p.pad_h + r;
    if (h < 0 || h >= p.from_h) continue;
    StoredPack<T, V> row[pixels];
    load_pixels<V>(plane + std::int64_t{h} * p.from_w * p.channels, first * Stride - p.pad_w, p.from_w,
                   p.channels, row);
    Pack<V> w[Size];
#pragma unroll
    for (int s = 0; s < Size; ++s) w[s] = weights.at(r * Size + s, at.vector);
#pragma unroll
    for (int j = 0; j < pixels; ++j) {
      const Pack<V> pixel = unpack(row[j]);
#pragma unroll
      for (int i = 0; i < strip_length; ++i) {
        const int s = j - i * Stride;
        if (s >= 0 && s < Size) multiply_add(sums[i], pixel, w[s]);
      }
    }
  }
  store_strip(p, at, first, sums);
}

/// dgrad of stride 2: pixel w of dx meets tap s in pixel (w + pad - s) / 2 of dy where that is whole. Strips
/// begin where w + pad is even, so that the compiler knows which taps those are.
template <int V, int Size, class T>
__global__ void __launch_bounds__(depthwise_threads)
    strided_dgrad_kernel(const __grid_constant__ StripProblem<T> p) {
  __shared__ __align__(16) SharedWeights<V, Size * Size> weights;
  const Place at = place_of<V>(p);
  weights.load(p, at.channel - at.vector * V);
  const int first = at.strip * strip_length - p.pad_w % 2;
  if (at.channel >= p.channels || at.row >= p.to_h || first >= p.to_w) return;
  constexpr int before = (Size - 1) / 2, pixels = before + strip_length / 2;  // of dy
  static_assert(Size % 2 == 1);
  const T* plane = p.from + at.plane * p.from_h * p.from_w * p.channels + at.channel;
  const int base = (first + p.pad_w) / 2;
  Pack<V> sums[strip_length] = {};
  for (int r = (at.row + p.pad_h) % 2; r < Size; r += 2) {
    const int h = (at.row + p.pad_h - r) / 2;
    if (at.row + p.pad_h < r || h >= p.from_h) continue;
    StoredPack<T, V> row[pixels];
    load_pixels<V>(plane + std::int64_t{h} * p.from_w * p.channels, base - before, p.from_w, p.channels, row);
#pragma unroll
    for (int s = 0; s < Size; ++s) {
      const Pack<V> w = weights.at(r * Size + s, at.vector);
#pragma unroll
      for (int i = s % 2; i < strip_length; i += 2)
        multiply_add(sums[i], unpack(row[(i - s + 2 * before) / 2]), w);
    }
  }
  store_strip(p, at, first, sums);
}

}  // namespace convoy::depthwise
