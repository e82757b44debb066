// The GEMM tile with 256-bit vectors: 6 x 16, twelve accumulators of sixteen registers.
#include <immintrin.h>

#include "kernels/gemm_kernel.h"

namespace convoy {
namespace {

struct Avx2 {
  using Type = __m256;
  static constexpr int width = 8;
  static Type load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Type v) { _mm256_storeu_ps(p, v); }
  static Type broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Type multiply_add(Type a, Type b, Type c) { return _mm256_fmadd_ps(a, b, c); }
};

constexpr void (*tiles[])(const GemmTile&) = {gemm_tile<Avx2, 1>, gemm_tile<Avx2, 2>, gemm_tile<Avx2, 3>,
                                              gemm_tile<Avx2, 4>, gemm_tile<Avx2, 5>, gemm_tile<Avx2, 6>};

}  // namespace

extern const GemmKernel gemm_avx2;
const GemmKernel gemm_avx2{"avx2", 6, 16, tiles};

}  // namespace convoy
