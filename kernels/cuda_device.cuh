// What the CUDA kernels share: vector accesses, index arithmetic, reductions of fixed order, launch sizes.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/ceil_div.h"
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

/// Values of T in one access of 16 bytes: four floats, eight of 16 bits.
template <class T>
constexpr int full_pack = 16 / static_cast<int>(sizeof(T));

/// V consecutive values of a tensor stored as T, moved in accesses of up to 16 bytes.
template <class T, int V>
struct alignas(V <= full_pack<T> ? sizeof(T) * V : 16) StoredPack {
  T v[V];
  __device__ float value(int i) const { return to_float(v[i]); }
};
/// Values of 16 bits stay two to a register until they are used.
template <class T, int V>
requires(sizeof(T) == 2 && V % 2 == 0) struct alignas(V <= full_pack<T> ? sizeof(T) * V
                                                                        : 16) StoredPack<T, V> {
  std::uint32_t pairs[V / 2];
  __device__ float value(int i) const {
    const std::uint32_t pair = pairs[i / 2];
    if constexpr (std::is_same_v<T, Half>) {
      return __half2float(__ushort_as_half(static_cast<unsigned short>(i % 2 == 0 ? pair : pair >> 16)));
    } else {  // the upper half of a float
      return __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
    }
  }
  /// Both of pair i / 2, rounded by one instruction.
  __device__ void set_pair(int i, float first, float second) {
    if constexpr (std::is_same_v<T, Half>) {
      const __half2 both = __floats2half2_rn(first, second);
      pairs[i / 2] = reinterpret_cast<const std::uint32_t&>(both);
    } else {
      const __nv_bfloat162 both = __floats2bfloat162_rn(first, second);
      pairs[i / 2] = reinterpret_cast<const std::uint32_t&>(both);
    }
  }
};
template <int V>
struct Pack {
  float v[V];
};

/// Where several loads shall be under way together, they come first and unpack() after the last of them: a
/// conversion waits for its load, and so does all that follows it.
template <int V, class T>
__device__ inline StoredPack<T, V> load_stored(const T* data, std::int64_t pack) {
  return reinterpret_cast<const StoredPack<T, V>*>(data)[pack];
}
template <class T, int V>
__device__ inline Pack<V> unpack(const StoredPack<T, V>& stored) {
  Pack<V> value;
#pragma unroll
  for (int i = 0; i < V; ++i) value.v[i] = stored.value(i);
  return value;
}
template <int V, class T>
__device__ inline Pack<V> load(const T* data, std::int64_t pack) {
  return unpack(load_stored<V>(data, pack));
}
template <class T, int V>
__device__ inline StoredPack<T, V> rounded(const Pack<V>& value) {
  StoredPack<T, V> stored;
  if constexpr (sizeof(T) == 2 && V % 2 == 0) {
#pragma unroll
    for (int i = 0; i < V; i += 2) stored.set_pair(i, value.v[i], value.v[i + 1]);
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) stored.v[i] = from_float<T>(value.v[i]);
  }
  return stored;
}
template <int V, class T>
__device__ inline void store(T* data, std::int64_t pack, const Pack<V>& value) {
  reinterpret_cast<StoredPack<T, V>*>(data)[pack] = rounded<T>(value);
}

/// Whether rows of `count` values at these addresses may be read `width` at a time.
template <class... Pointers>
bool in_packs(int width, std::int64_t count, const Pointers*... pointers) {
  const auto bytes = [&](std::size_t each) {
    return std::min(static_cast<std::size_t>(width) * each, std::size_t{16});
  };
  return count % width == 0 &&
         ((reinterpret_cast<std::uintptr_t>(pointers) % bytes(sizeof(Pointers)) == 0) && ...);
}
template <class... Pointers>
bool in_fours(std::int64_t count, const Pointers*... pointers) {
  return in_packs(4, count, pointers...);
}
/// The widest pack of tensors stored as T, and what goes with them, that count and addresses allow.
template <class T, class... Pointers>
int pack_width(std::int64_t count, const Pointers*... pointers) {
  for (const int width : {full_pack<T>, 4}) {
    if (in_packs(width, count, pointers...)) return width;
  }
  return 1;
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

/// Calls `function` with what pack_width<T> gave, as a compile-time constant.
template <class T, class Function>
void with_pack_width(int width, Function function) {
  if constexpr (full_pack < T >> 4) {
    if (width == full_pack<T>) return function(std::integral_constant<int, full_pack<T>>{});
  }
  if (width == 4) return function(std::integral_constant<int, 4>{});
  function(std::integral_constant<int, 1>{});
}

/// Blocks of `size` threads that cover `work` threads; throws when a grid cannot hold them.
inline unsigned blocks_for(std::int64_t work, int size = block_size) {
  const std::int64_t blocks = ceil_div(work, size);
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
