// Matrix products of a warpgroup (sm_90a) with both operands in shared memory, in the layout of the 128-byte
// swizzle: what the copy engine writes with CU_TENSOR_MAP_SWIZZLE_128B. A row there is 128 bytes, 64 values
// of 16 bits, and its 16-byte pieces are permuted by the row's address: piece p of the row at address a lies
// at p ^ (a / 128 % 8).
//
// Because the permutation follows the address, and not the distance from where the operand begins, an operand
// may begin at any row: the descriptor of a tap's pixels is that of the patch, plus 128 bytes per pixel.
#pragma once

#include "bench/probes/hopper.cuh"

namespace convoy::probe {

/// Before the first product, and again after registers that products use were touched.
__device__ __forceinline__ void fence_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Closes a group of products.
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most the `Pending` latest groups are under way.
template <int Pending>
__device__ __forceinline__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
/// Keeps the compiler from moving accesses to these sums across this point.
template <int Count>
__device__ __forceinline__ void pin(float (&sums)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

/// How an operand lies in shared memory. `along`: K is contiguous (a row of 128 bytes holds 64 values of k,
/// rows are filters or pixels). `across`: the other dimension is contiguous (a row holds 64 filters or
/// channels, rows are k).
enum class Major : int { along = 0, across = 1 };

/// A descriptor without its address. `stride`: bytes from eight rows to the next eight. `leading`: of an
/// operand that is contiguous across, bytes from 64 columns to the next 64; else not read.
__host__ __device__ constexpr std::uint64_t layout_of(int leading, int stride) {
  return static_cast<std::uint64_t>(leading >> 4 & 0x3fff) << 16 |
         static_cast<std::uint64_t>(stride >> 4 & 0x3fff) << 32 | std::uint64_t{1} << 62;
}
/// A descriptor, or the distance of two, from an address in shared memory: multiples of 16.
__device__ __forceinline__ std::uint64_t at(std::uint32_t address) {
  return address >> 4;
}

#define PROBE_REGISTERS_0                    \
  "%0, %1, %2, %3, %4, %5, %6, %7, "         \
  "%8, %9, %10, %11, %12, %13, %14, %15, "   \
  "%16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define PROBE_REGISTERS_1                    \
  "%32, %33, %34, %35, %36, %37, %38, %39, " \
  "%40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define PROBE_REGISTERS_2                    \
  "%64, %65, %66, %67, %68, %69, %70, %71, " \
  "%72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, " \
  "%88, %89, %90, %91, %92, %93, %94, %95"
#define PROBE_REGISTERS_3                            \
  "%96, %97, %98, %99, %100, %101, %102, %103, "     \
  "%104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define PROBE_SUM4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define PROBE_SUM32(i)                                                                         \
  PROBE_SUM4(i), PROBE_SUM4(i + 4), PROBE_SUM4(i + 8), PROBE_SUM4(i + 12), PROBE_SUM4(i + 16), \
      PROBE_SUM4(i + 20), PROBE_SUM4(i + 24), PROBE_SUM4(i + 28)
// `operands` names those after the sums: a, b, whether to add to the sums, and which operands are contiguous
// across.
#define PROBE_MULTIPLY(shape, type, registers, a_, b_, add_, across_a, across_b, ...)                       \
  asm volatile(                                                                                             \
      "{\n.reg .pred add;\nsetp.ne.b32 add, " add_ ", 0;\nwgmma.mma_async.sync.aligned." shape ".f32." type \
      "." type " {" registers "}, " a_ ", " b_ ", add, 1, 1, " across_a ", " across_b ";\n}"                \
      : __VA_ARGS__                                                                                         \
      : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(static_cast<int>(A)), "n"(static_cast<int>(B)))
#define PROBE_MULTIPLY_256(type)                                                                           \
  PROBE_MULTIPLY("m64n256k16", type,                                                                       \
                 PROBE_REGISTERS_0 ", " PROBE_REGISTERS_1 ", " PROBE_REGISTERS_2 ", " PROBE_REGISTERS_3,   \
                 "%128", "%129", "%130", "%131", "%132", PROBE_SUM32(0), PROBE_SUM32(32), PROBE_SUM32(64), \
                 PROBE_SUM32(96))
#define PROBE_MULTIPLY_192(type)                                                                             \
  PROBE_MULTIPLY("m64n192k16", type, PROBE_REGISTERS_0 ", " PROBE_REGISTERS_1 ", " PROBE_REGISTERS_2, "%96", \
                 "%97", "%98", "%99", "%100", PROBE_SUM32(0), PROBE_SUM32(32), PROBE_SUM32(64))

/// sums (64,N) = a (64,16) b (16,N), added to what is there if `add`. Warp w of the four holds rows 16 w to
/// 16 w + 15; of columns 8 j to 8 j + 7, a lane's sums 4 j and 4 j + 1 are columns 2 (lane % 4) and the next
/// of row lane / 4, the two that follow the same of row lane / 4 + 8. Asynchronous: `sums` are not to be
/// touched before wait_products().
template <class T, Major A, Major B, int N>
__device__ __forceinline__ void multiply(float (&sums)[N / 2], std::uint64_t a, std::uint64_t b, bool add) {
  static_assert(N == 256 || N == 192);
  constexpr bool half = std::is_same_v<T, __half>;
  if constexpr (N == 256 && half) PROBE_MULTIPLY_256("f16");
  if constexpr (N == 256 && !half) PROBE_MULTIPLY_256("bf16");
  if constexpr (N == 192 && half) PROBE_MULTIPLY_192("f16");
  if constexpr (N == 192 && !half) PROBE_MULTIPLY_192("bf16");
}

#undef PROBE_MULTIPLY_192
#undef PROBE_MULTIPLY_256
#undef PROBE_MULTIPLY
#undef PROBE_SUM32
#undef PROBE_SUM4
#undef PROBE_REGISTERS_3
#undef PROBE_REGISTERS_2
#undef PROBE_REGISTERS_1
#undef PROBE_REGISTERS_0

}  // namespace convoy::probe
