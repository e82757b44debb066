// Matrix products of a warpgroup (sm_90a): four warps multiply 64 rows, which they hold in registers, by
// columns that lie in shared memory, while they go on. Instructions and their order are those of the PTX ISA,
// "Asynchronous warpgroup level matrix instructions".
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/sm90a.cuh"

namespace convoy::wgmma {

/// Before a warpgroup's first product, and again after registers that products use were written.
__device__ __forceinline__ void fence() {
  CONVOY_SM90A("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Closes a group of products.
__device__ __forceinline__ void commit() {
  CONVOY_SM90A("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most the `Pending` latest groups are under way.
template <int Pending>
__device__ __forceinline__ void wait() {
  CONVOY_SM90A("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
/// Shows what this thread wrote to shared memory to the products that follow a barrier.
__device__ __forceinline__ void publish_shared() {
  CONVOY_SM90A("fence.proxy.async.shared::cta;" ::: "memory");
}

/// The reverse of mma::load_matrices.
__device__ __forceinline__ void store_matrices(std::uint32_t to, const std::uint32_t (&from)[4]) {
  CONVOY_SM90A("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(from[0]),
               "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
}

/// Keeps the compiler from moving what writes or reads these registers across this point.
template <class Registers>
__device__ __forceinline__ void pin(Registers& registers) {
  if constexpr (std::is_array_v<Registers>) {
#pragma unroll
    for (auto& inner : registers) pin(inner);
  } else {
    asm volatile("" : "+f"(registers)::"memory");
  }
}

/// Where an operand's 8 × 8 matrices of 128 contiguous bytes lie in shared memory, without swizzle: `leading`
/// and `stride` bytes from one to the next. Of an operand contiguous along K, `leading` goes along K and
/// `stride` across; of one contiguous across, the matrices' rows go along K, `leading` still does, and
/// `stride` goes across.
struct Matrices {
  std::uint32_t low, high;
  __device__ __forceinline__ Matrices(std::uint32_t address, int leading, int stride)
      : low((address >> 4 & 0x3fffu) | static_cast<std::uint32_t>(leading >> 4) << 16),
        high(static_cast<std::uint32_t>(stride >> 4)) {}
  __device__ __forceinline__ std::uint64_t descriptor(int bytes_further) const {
    return static_cast<std::uint64_t>(high) << 32 | (low + static_cast<std::uint32_t>(bytes_further >> 4));
  }
};

// One statement of PTX: `registers` names the sums, `operands` a and b, the last the transposition.
#define CONVOY_WGMMA(shape, type, registers, operands, transposed, ...)                              \
  CONVOY_SM90A("{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\nwgmma.mma_async.sync.aligned." shape     \
               ".f32." type "." type " {" registers "}, " operands ", add, 1, 1, " transposed ";\n}" \
               : __VA_ARGS__                                                                         \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define CONVOY_SUM(i) "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define CONVOY_SUMS4(i) CONVOY_SUM(i), CONVOY_SUM(i + 1), CONVOY_SUM(i + 2), CONVOY_SUM(i + 3)
#define CONVOY_REGISTERS_32 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define CONVOY_OPERANDS_32 "{%16, %17, %18, %19}, %20"
#define CONVOY_REGISTERS_64                                                \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define CONVOY_OPERANDS_64 "{%32, %33, %34, %35}, %36"
#define CONVOY_REGISTERS_128                                                         \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define CONVOY_OPERANDS_128 "{%64, %65, %66, %67}, %68"
#define CONVOY_MULTIPLY(n, type, transposed, ...) \
  CONVOY_WGMMA("m64n" #n "k16", type, CONVOY_REGISTERS_##n, CONVOY_OPERANDS_##n, transposed, __VA_ARGS__)
#define CONVOY_MULTIPLY_TYPES(n, ...)                  \
  if constexpr (std::is_same_v<Element, mma::F16>) {   \
    if constexpr (Across)                              \
      CONVOY_MULTIPLY(n, "f16", "1", __VA_ARGS__);     \
    else                                               \
      CONVOY_MULTIPLY(n, "f16", "0", __VA_ARGS__);     \
  } else {                                             \
    static_assert(std::is_same_v<Element, mma::Bf16>); \
    if constexpr (Across)                              \
      CONVOY_MULTIPLY(n, "bf16", "1", __VA_ARGS__);    \
    else                                               \
      CONVOY_MULTIPLY(n, "bf16", "0", __VA_ARGS__);    \
  }

/// sums (64,N) += a (64,16) b (16,N), b contiguous along N if `Across`, else along K. Of each eight columns a
/// lane holds columns 2t and 2t + 1 of rows g, then of rows g + 8, of its warp's sixteen (g = lane / 4, t =
/// lane % 4), and of `a` what mma.sync's m16n8k16 takes. Asynchronous: `sums` and `a` are not to be touched
/// before wait().
template <class Element, bool Across, int N>
__device__ __forceinline__ void multiply(float (&sums)[N / 8][4], const std::uint32_t (&a)[4],
                                         std::uint64_t b) {
  static_assert(N == 32 || N == 64 || N == 128);
  if constexpr (N == 32) {
    CONVOY_MULTIPLY_TYPES(32, CONVOY_SUMS4(0))
  } else if constexpr (N == 64) {
    CONVOY_MULTIPLY_TYPES(64, CONVOY_SUMS4(0), CONVOY_SUMS4(4))
  } else {
    CONVOY_MULTIPLY_TYPES(128, CONVOY_SUMS4(0), CONVOY_SUMS4(4), CONVOY_SUMS4(8), CONVOY_SUMS4(12))
  }
}

#undef CONVOY_MULTIPLY_TYPES
#undef CONVOY_MULTIPLY
#undef CONVOY_REGISTERS_32
#undef CONVOY_REGISTERS_64
#undef CONVOY_REGISTERS_128
#undef CONVOY_OPERANDS_32
#undef CONVOY_OPERANDS_64
#undef CONVOY_OPERANDS_128
#undef CONVOY_SUMS4
#undef CONVOY_SUM
#undef CONVOY_WGMMA

}  // namespace convoy::wgmma
