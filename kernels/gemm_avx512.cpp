// The GEMM tile with 512-bit vectors: 8 x 32. Sixteen accumulators cover the latency of two multiply-add
// units; more rows would need more row pointers than there are general registers.
#include <immintrin.h>

#include "kernels/gemm_kernel.h"

namespace convoy {
namespace {

struct Avx512 {
  using Type = __m512;
  static constexpr int width = 16;
  static Type load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Type v) { _mm512_storeu_ps(p, v); }
  static Type broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Type multiply_add(Type a, Type b, Type c) { return _mm512_fmadd_ps(a, b, c); }
};

constexpr void (*tiles[])(const GemmTile&) = {
    gemm_tile<Avx512, 1>, gemm_tile<Avx512, 2>, gemm_tile<Avx512, 3>, gemm_tile<Avx512, 4>,
    gemm_tile<Avx512, 5>, gemm_tile<Avx512, 6>, gemm_tile<Avx512, 7>, gemm_tile<Avx512, 8>};

}  // namespace

extern const GemmKernel gemm_avx512;
const GemmKernel gemm_avx512{"avx512", 8, 32, tiles};

}  // namespace convoy
