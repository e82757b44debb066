// FFMA kernels for images of one to four channels (grey, RGB): K = taps·C is short (9, 27, 147), the other
// side is all pixels.
//
// Both gather x into shared memory as a dense (K, pixels) or (pixels, K) piece and loop over exactly as many
// K as there are. fprop is limited by writing y, wgrad by reading dy (bytes), both with one channel; with
// three, by FFMA.
#pragma once

#include "kernels/conv/cuda/index/gather.h"
#include "kernels/conv/cuda/plan.h"
#include "kernels/cuda_device.cuh"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

/// One tap's distance from the window's first, as the gather's address needs it.
struct alignas(16) TapStep {
  int d, h, w, offset;
};
template <class T>
__device__ __forceinline__ TapStep tap_step(const Gather<T>& x, int column) {
  const GatherTap tap = x.tap(column);
  return {tap.d, tap.h, tap.w, tap.offset};
}
template <class T>
__device__ __forceinline__ float gathered(const Gather<T>& x, const GatherPixel<T>& pixel,
                                          const TapStep& step) {
  const bool inside = x.inside(pixel, {0, 0, step.d, step.h, step.w, step.offset});
  return inside ? to_float(pixel.origin[step.offset]) : 0.0f;
}

/// y (pixels,K) = f(gather(x) (pixels, length) wᵀ + bias). A block: 128 pixels × 8·TM filters; a thread TM ×
/// 4 of them, TM = 4 or 8 being the thread's pixels, so that eight lanes write 128 contiguous bytes of a
/// pixel's filters.
template <int TM, bool Quads, class T>
__global__ void __launch_bounds__(first_layer_threads)
    first_layer_fprop_kernel(const __grid_constant__ Gather<T> x, const T* __restrict__ w,
                             const float* __restrict__ bias, T* __restrict__ y, int filters,
                             LeakyReluEpilogue activation) {
  constexpr int pixels = 128, lanes_m = pixels / TM, lanes_n = first_layer_threads / lanes_m,
                tile_n = 4 * lanes_n;
  constexpr int piece = 32;
  __shared__ __align__(16) float shared_x[piece][pixels + 4];
  __shared__ __align__(16) float shared_w[piece][tile_n + 4];
  __shared__ TapStep steps[piece];
  const int tid = static_cast<int>(threadIdx.x);
  const int m_begin = static_cast<int>(blockIdx.x) * pixels, n_begin = static_cast<int>(blockIdx.y) * tile_n;
  const int thread_n = tid % 8 * 4 + tid / 8 % (lanes_n / 8) * 32;
  const int thread_m = tid / lanes_n * TM;
  const GatherPixel<T> pixel = x.pixel(m_begin + tid % pixels);
  const int length = x.columns;

  float sums[TM][4] = {};
  for (int begin = 0; begin < length; begin += piece) {
    const int count = min(piece, length - begin);
    __syncthreads();
    if (tid < count) steps[tid] = tap_step(x, begin + tid);
    for (int i = tid; i < count * tile_n; i += first_layer_threads) {
      const int n = i / count, k = i - n * count;
      shared_w[k][n] =
          n_begin + n < filters ? to_float(w[std::int64_t{n_begin + n} * length + begin + k]) : 0.0f;
    }
    __syncthreads();
#pragma unroll 4
    for (int k = tid / pixels; k < count; k += first_layer_threads / pixels) {
      shared_x[k][tid % pixels] = gathered(x, pixel, steps[k]);
    }
    __syncthreads();
#pragma unroll 3
    for (int k = 0; k < count; ++k) {
      const float4 b = *reinterpret_cast<const float4*>(&shared_w[k][thread_n]);
#pragma unroll
      for (int i = 0; i < TM; i += 4) {
        const float4 a = *reinterpret_cast<const float4*>(&shared_x[k][thread_m + i]);
        const float a_values[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sums[i + j][0] = fmaf(a_values[j], b.x, sums[i + j][0]);
          sums[i + j][1] = fmaf(a_values[j], b.y, sums[i + j][1]);
          sums[i + j][2] = fmaf(a_values[j], b.z, sums[i + j][2]);
          sums[i + j][3] = fmaf(a_values[j], b.w, sums[i + j][3]);
        }
      }
    }
  }

  const int n = n_begin + thread_n;
  float add[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) add[j] = bias != nullptr && n + j < filters ? bias[n + j] : 0.0f;
#pragma unroll
  for (int i = 0; i < TM; ++i) {
    const int m = m_begin + thread_m + i;
    if (m >= x.rows) continue;
    T* to = y + std::int64_t{m} * filters + n;
    Pack<4> values;
#pragma unroll
    for (int j = 0; j < 4; ++j) values.v[j] = activation.f(sums[i][j] + add[j]);
    if constexpr (Quads) {
      if (n < filters) store<4>(to, 0, values);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (n + j < filters) to[j] = from_float<T>(values.v[j]);
      }
    }
  }
}

/// dw (splits, K, length): partial z sums pixels [z·chunk, (z+1)·chunk) of dy (pixels,K)ᵀ gather(x) (pixels,
/// length). A thread keeps 4 filters × 9 columns and every pixel_lanes-th pixel; the lanes' sums are added in
/// their order.
template <bool Quads, class T>
__global__ void __launch_bounds__(first_layer_threads, 3)
    first_layer_wgrad_kernel(const __grid_constant__ Gather<T> x, const T* __restrict__ dy,
                             float* __restrict__ dw, int filters, const FirstLayerWgradPlan plan) {
  // Gathered pixels while summing, (pixel, group, 12); sums of all threads afterwards, (9, threads).
  __shared__ __align__(16) float shared[first_layer_shared_floats];
  __shared__ TapStep steps[first_layer_most_columns];
  const int tid = static_cast<int>(threadIdx.x), length = x.columns;
  const int slots = plan.quads * plan.groups, slot = tid % slots, lane = tid / slots;
  const int quad = slot % plan.quads, group = slot / plan.quads;
  const int filter = (static_cast<int>(blockIdx.x) * plan.quads + quad) * 4;
  const bool active = lane < plan.pixel_lanes && filter < filters;
  const int begin = static_cast<int>(blockIdx.y) * plan.chunk, end = min(begin + plan.chunk, x.rows);

  for (int i = tid; i < first_layer_shared_floats; i += first_layer_threads) shared[i] = 0.0f;
  for (int column = tid; column < length; column += first_layer_threads) steps[column] = tap_step(x, column);
  float sums[4][taps_per_group] = {};
  for (int first = begin; first < end; first += plan.stage) {
    const int count = min(plan.stage, end - first);
    __syncthreads();
    const int p_mine = tid % plan.stage;
    const GatherPixel<T> pixel = x.pixel(first + p_mine);
    for (int column = tid / plan.stage; column < length; column += first_layer_threads / plan.stage) {
      const int at = column / taps_per_group;
      shared[(p_mine * plan.groups + at) * padded_group + column - at * taps_per_group] =
          gathered(x, pixel, steps[column]);
    }
    __syncthreads();
    if (!active) continue;
#pragma unroll 4
    for (int p = lane; p < count; p += plan.pixel_lanes) {
      const T* g = dy + std::int64_t{first + p} * filters + filter;
      Pack<4> dy_pack;
      if constexpr (Quads) {
        dy_pack = load<4>(g, 0);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) dy_pack.v[i] = filter + i < filters ? to_float(g[i]) : 0.0f;
      }
      const float4* from = reinterpret_cast<const float4*>(&shared[(p * plan.groups + group) * padded_group]);
      const float4 x0 = from[0], x1 = from[1], x2 = from[2];
      const float x_values[taps_per_group] = {x0.x, x0.y, x0.z, x0.w, x1.x, x1.y, x1.z, x1.w, x2.x};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < taps_per_group; ++j) sums[i][j] = fmaf(dy_pack.v[i], x_values[j], sums[i][j]);
      }
    }
  }

  float* partial = dw + std::int64_t{blockIdx.y} * filters * length;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < taps_per_group; ++j) shared[j * first_layer_threads + tid] = sums[i][j];
    __syncthreads();
    for (int o = tid; o < slots * taps_per_group; o += first_layer_threads) {
      const int j = o / slots, s = o - j * slots;
      const int k = (static_cast<int>(blockIdx.x) * plan.quads + s % plan.quads) * 4 + i;
      const int column = s / plan.quads * taps_per_group + j;
      if (k >= filters || column >= length) continue;
      float sum = 0.0f;
      for (int l = 0; l < plan.pixel_lanes; ++l) sum += shared[j * first_layer_threads + l * slots + s];
      partial[std::int64_t{k} * length + column] = sum;
    }
  }
}

}  // namespace convoy
