// What the CUDA kernels share: vector accesses, index arithmetic, reductions of fixed order, launch sizes.
#pragma once

#include <cstdint>

#include "kernels/cuda_context.h"
#include "kernels/fast_divide.h"

namespace convoy {

constexpr int warp_size = 32;
constexpr int block_size = 256;

/// V consecutive floats, moved in one access (16 bytes for V = 4).
template <int V>
struct alignas(4 * V) Pack {
  float v[V];
};

template <int V>
__device__ inline Pack<V> load(const float* data, std::int64_t pack) {
  return reinterpret_cast<const Pack<V>*>(data)[pack];
}
template <int V>
__device__ inline void store(float* data, std::int64_t pack, const Pack<V>& value) {
  reinterpret_cast<Pack<V>*>(data)[pack] = value;
}

/// Whether rows of `count` floats at these addresses may be read four at a time.
template <class... Pointers>
bool in_fours(std::int64_t count, const Pointers*... pointers) {
  return count % 4 == 0 && ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
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
