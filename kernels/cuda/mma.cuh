// The instructions of the tensor cores, those that load their operands, and the element types that they take.
// Those of sm_80 and newer trap when compiled for less: launchers ask has_tensor_core_code() first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/half.h"
#include "kernels/cuda/mma_layout.h"

namespace convoy::mma {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
constexpr bool is_sm80_code = true;
#define CONVOY_SM80(...) asm volatile(__VA_ARGS__)
#define CONVOY_SM80_PURE(...) asm(__VA_ARGS__)
#else
constexpr bool is_sm80_code = false;
#define CONVOY_SM80(...) __trap()
#define CONVOY_SM80_PURE(...) __trap()
#endif

/// Dynamic shared memory, aligned so that swizzled rows begin at bank 0.
__device__ __forceinline__ std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte convoy_dynamic_shared[];
  return convoy_dynamic_shared;
}
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

/// Copies of 16 bytes to shared memory, of zeros, without reading `from`, unless `inside`: asynchronous, in
/// groups (sm_80).
struct AsyncCopies {
  __device__ __forceinline__ static void copy(std::uint32_t to, const void* from, bool inside) {
    CONVOY_SM80("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0)
                : "memory");
  }
  /// The same of 4 bytes.
  __device__ __forceinline__ static void copy_word(std::uint32_t to, const void* from, bool inside) {
    CONVOY_SM80("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(inside ? 4 : 0)
                : "memory");
  }
  /// Closes a group of copies.
  __device__ __forceinline__ static void commit() { CONVOY_SM80("cp.async.commit_group;" ::: "memory"); }
  /// Waits until at most the `Pending` latest groups of this thread are under way.
  template <int Pending>
  __device__ __forceinline__ static void wait() {
    CONVOY_SM80("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
  }
};
/// The same by way of registers (sm_75): done when the call returns.
struct DirectCopies {
  __device__ __forceinline__ static void copy(std::uint32_t to, const void* from, bool inside) {
    uint4 v = make_uint4(0, 0, 0, 0);
    if (inside) v = __ldg(static_cast<const uint4*>(from));
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
  }
  __device__ __forceinline__ static void commit() {}
  template <int Pending>
  __device__ __forceinline__ static void wait() {}
};

/// Four 8 × 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets, of each, the 4
/// bytes l % 4 of row l / 4.
__device__ __forceinline__ void load_matrices(std::uint32_t from, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}
/// The same of matrices of 2-byte elements, each transposed on the way.
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t from, std::uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

/// Such a matrix of 2-byte elements that lanes hold, transposed.
__device__ __forceinline__ std::uint32_t transposed(std::uint32_t matrix) {
  std::uint32_t to;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(to) : "r"(matrix));
  return to;
}

/// f32 in memory, rounded to TF32 (10 bits of mantissa) on the way to the tensor cores. m16n8k8.
struct Tf32 {
  using Stored = float;
  using Order = QuadOrder;
  using Copies = AsyncCopies;
  static constexpr bool is_picked = is_sm80_code;  ///< by launchers; other kernels are compiled without body
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

/// binary16 with sums in f32. m16n8k16: a0, a1 are rows g and g + 8 of the first eight of K, two elements
/// each.
struct F16 {
  using Stored = Half;
  using Order = NaturalOrder;
  using Copies = AsyncCopies;
  static constexpr bool is_picked = is_sm80_code;
  static constexpr int per_chunk = 8;
  __device__ __forceinline__ static std::uint32_t operand(std::uint32_t bits) { return bits; }
  __device__ __forceinline__ static void multiply(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                                  std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                                  std::uint32_t b1) {
    CONVOY_SM80_PURE(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
};

/// bfloat16 likewise.
struct Bf16 : F16 {
  using Stored = BFloat16;
  __device__ __forceinline__ static void multiply(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                                  std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                                  std::uint32_t b1) {
    CONVOY_SM80_PURE(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
};

/// binary16 as sm_75 has it: m16n8k8, twice.
struct F16Turing : F16 {
  using Copies = DirectCopies;
  static constexpr bool is_picked = !is_sm80_code;
  __device__ __forceinline__ static void multiply(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                                  std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                                  std::uint32_t b1) {
    multiply_half(c, a0, a1, b0);
    multiply_half(c, a2, a3, b1);
  }

 private:
  __device__ __forceinline__ static void multiply_half(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                                       std::uint32_t b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(b));
  }
};

#undef CONVOY_SM80
#undef CONVOY_SM80_PURE

}  // namespace convoy::mma
