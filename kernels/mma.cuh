// The instructions of the tensor cores and of their supply, for sm_80 and newer, and what an element type has
// to say about them. Compiled for less they trap: launchers ask has_tensor_core_code() first.
#pragma once

#include <cstdint>

#include "kernels/mma_layout.h"

namespace convoy::mma {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define CONVOY_SM80(...) asm volatile(__VA_ARGS__)
#define CONVOY_SM80_PURE(...) asm(__VA_ARGS__)
#else
#define CONVOY_SM80(...) __trap()
#define CONVOY_SM80_PURE(...) __trap()
#endif

/// Dynamic shared memory, aligned so that swizzled rows begin at bank 0.
__device__ __forceinline__ float* dynamic_shared() {
  extern __shared__ __align__(128) float convoy_dynamic_shared[];
  return convoy_dynamic_shared;
}
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

/// Queues a copy of 16 bytes to shared memory; of zeros, without reading `from`, unless `inside`.
__device__ __forceinline__ void copy_async(std::uint32_t to, const void* from, bool inside) {
  CONVOY_SM80("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0)
              : "memory");
}
/// Closes a group of copies.
__device__ __forceinline__ void commit_copies() {
  CONVOY_SM80("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most the `Pending` latest groups of this thread are under way.
template <int Pending>
__device__ __forceinline__ void wait_for_copies() {
  CONVOY_SM80("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Four 8 × 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets, of each, the 4
/// bytes l % 4 of row l / 4.
__device__ __forceinline__ void load_matrices(std::uint32_t from, std::uint32_t (&to)[4]) {
  CONVOY_SM80("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
              : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
              : "r"(from)
              : "memory");
}

/// f32 in memory, rounded to TF32 (10 bits of mantissa) on the way to the tensor cores. m16n8k8.
struct Tf32 {
  using Stored = float;
  static constexpr int per_chunk = 4;
  __device__ __forceinline__ static std::uint32_t operand(std::uint32_t bits) {
    return __float_as_uint(nearly_tf32(__uint_as_float(bits)));
  }
  /// c (16,8) += a (16,8) b (8,8): a0, a1 are rows g and g + 8 of the first half of K, a2, a3 of the second;
  /// b0, b1 the halves of column g; c0, c1 columns 2t and 2t + 1 of row g, c2, c3 of row g + 8.
  __device__ __forceinline__ static void multiply(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                                  std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                                  std::uint32_t b1) {
    CONVOY_SM80_PURE(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
};

#undef CONVOY_SM80
#undef CONVOY_SM80_PURE

}  // namespace convoy::mma
