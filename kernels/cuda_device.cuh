// What the CUDA kernels share: vector accesses, index arithmetic, reductions of fixed order, launch sizes.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda_context.h"
#include "kernels/fast_divide.h"

namespace convoy {

constexpr int warp_size = 32;
constexpr int block_size = 256;

// Kernels compute in float, whatever type a tensor is stored in.
__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(Half value) {
  return __half2float(__ushort_as_half(value.bits));
}
__device__ inline float to_float(BFloat16 value) {
  return __bfloat162float(__ushort_as_bfloat16(value.bits));
}
template <class T>
__device__ inline T from_float(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
    T out;
    if constexpr (std::is_same_v<T, Half>) out.bits = __half_as_ushort(__float2half_rn(value));
    if constexpr (std::is_same_v<T, BFloat16>) out.bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
    return out;
  }
}

/// V consecutive values of a tensor stored as T, moved in one access (of 16 bytes for four floats).
template <class T, int V>
struct alignas(sizeof(T) * V) StoredPack {
  T v[V];
};
template <int V>
struct Pack {
  float v[V];
};

template <int V, class T>
__device__ inline Pack<V> load(const T* data, std::int64_t pack) {
  const StoredPack<T, V> stored = reinterpret_cast<const StoredPack<T, V>*>(data)[pack];
  Pack<V> value;
#pragma unroll
  for (int i = 0; i < V; ++i) value.v[i] = to_float(stored.v[i]);
  return value;
}
template <int V, class T>
__device__ inline void store(T* data, std::int64_t pack, const Pack<V>& value) {
  StoredPack<T, V> stored;
#pragma unroll
  for (int i = 0; i < V; ++i) stored.v[i] = from_float<T>(value.v[i]);
  reinterpret_cast<StoredPack<T, V>*>(data)[pack] = stored;
}

/// Whether rows of `count` values at these addresses may be read four at a time.
template <class... Pointers>
bool in_fours(std::int64_t count, const Pointers*... pointers) {
  return count % 4 == 0 &&
         ((reinterpret_cast<std::uintptr_t>(pointers) % (4 * sizeof(Pointers)) == 0) && ...);
}

/// Calls `function` with a value (meaningless but for its type) of the type that activations are stored in.
template <class Function>
void with_storage(DType type, Function function) {
  switch (type) {
    case DType::f32:
      return function(float{});
    case DType::f16:
      return function(Half{});
    case DType::bf16:
      return function(BFloat16{});
    default:
      fail("internal error: activations stored as {}", name_of(type));
  }
}

/// Calls `function` with 4 or 1 as a compile-time constant.
template <class Function>
void with_pack_width(bool fours, Function function) {
  if (fours) {
    function(std::integral_constant<int, 4>{});
  } else {
    function(std::integral_constant<int, 1>{});
  }
}

/// Blocks of `size` threads that cover `work` threads; throws when a grid cannot hold them.
inline unsigned blocks_for(std::int64_t work, int size = block_size) {
  const std::int64_t blocks = (work + size - 1) / size;
  check(blocks <= 0x7fffffff, "more blocks than a CUDA grid holds");
  return static_cast<unsigned>(blocks);
}

/// The sum over the warp, on every lane; the same tree whatever the values.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int offset = warp_size / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

}  // namespace convoy
