// Probes of a GPU: multiply-adds fed from registers alone (FFMA, or mma.sync of the type asked for), and a
// copy within its memory.
//
// A block has 8 warps and multiply_add_chains sums: on the CUDA cores 32 per thread, on the tensor cores
// eight tiles of 16 × 8 per warp. Limited by issue alone.
#include <cstdint>

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda_device.cuh"
#include "kernels/probe.h"

namespace convoy {
namespace {

constexpr int tiles_per_warp = 8;
constexpr int sums_per_thread = static_cast<int>(multiply_add_chains) / block_size;
static_assert(tiles_per_warp * 16 * 8 * (block_size / warp_size) == multiply_add_chains);

/// Bits without a pattern: what an operand is made of changes a GPU's power and with it its clock.
__device__ std::uint32_t scramble(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x45d9f3bu;
  x = (x ^ (x >> 16)) * 0x45d9f3bu;
  return x ^ (x >> 16);
}

/// Keeps the compiler from dropping what `sum` was computed for; no sum here comes out as this.
__device__ void keep(float sum, float* out) {
  if (sum == -123456.789f) *out = sum;
}

__global__ void __launch_bounds__(block_size) multiply_add_kernel(int length, float* out) {
  float sum[sums_per_thread];
  const float factor = 0.5f + static_cast<float>(threadIdx.x) * 1e-4f;
  const float term = 1.0f + static_cast<float>(blockIdx.x) * 1e-6f;
#pragma unroll
  for (int i = 0; i < sums_per_thread; ++i) sum[i] = static_cast<float>(i);
#pragma unroll 4
  for (int k = 0; k < length; ++k) {
#pragma unroll
    for (int i = 0; i < sums_per_thread; ++i) sum[i] = fmaf(sum[i], factor, term);
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < sums_per_thread; ++i) total += sum[i];
  keep(total, out);
}

/// m16n8k8 of TF32.
struct Tf32Product {
  static constexpr int depth = 8;
  static __device__ std::uint32_t operand(std::uint32_t bits) {
    return (bits & 0x807fe000u) | 0x3f800000u;  // ±[1, 2) with TF32's mantissa
  }
  static __device__ void multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    mma::Tf32::multiply(c, a[0], a[1], a[2], a[3], b[0], b[1]);
  }
};

/// m16n8k16 of fp16 with sums in fp32; before sm_80, whose instruction is half as deep, two of m16n8k8.
struct HalfProduct {
  static constexpr int depth = 16;
  static __device__ std::uint32_t operand(std::uint32_t bits) {
    return (bits & 0x83ff83ffu) | 0x3c003c00u;  // two of ±[1, 2)
  }
  static __device__ void multiply(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
          "{%0, %1, %2, %3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
  }
};

template <class Product>
__global__ void __launch_bounds__(block_size) tensor_core_kernel(int length, float* out) {
  float sum[tiles_per_warp][4] = {};
  std::uint32_t a[4], b[tiles_per_warp][2];
  const std::uint32_t seed = (blockIdx.x * block_size + threadIdx.x) * 32;
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = Product::operand(scramble(seed + i));
#pragma unroll
  for (int tile = 0; tile < tiles_per_warp; ++tile) {
#pragma unroll
    for (int i = 0; i < 2; ++i) b[tile][i] = Product::operand(scramble(seed + 4 + 2 * tile + i));
  }
#pragma unroll 4
  for (int k = 0; k < length; k += Product::depth) {
#pragma unroll
    for (int tile = 0; tile < tiles_per_warp; ++tile) Product::multiply(sum[tile], a, b[tile]);
  }
  float total = 0;
#pragma unroll
  for (int tile = 0; tile < tiles_per_warp; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) total += sum[tile][i];
  }
  keep(total, out);
}

}  // namespace

void launch(const CudaContext& context, const MultiplyAdd& call) {
  float* out = context.data<float>(call.out);
  const unsigned blocks = blocks_for(call.chains, static_cast<int>(multiply_add_chains));
  switch (call.arithmetic) {
    case Arithmetic::full:
      multiply_add_kernel<<<blocks, block_size, 0, context.stream>>>(call.length, out);
      break;
    case Arithmetic::tf32:
      tensor_core_kernel<Tf32Product><<<blocks, block_size, 0, context.stream>>>(call.length, out);
      break;
    case Arithmetic::half:
      tensor_core_kernel<HalfProduct><<<blocks, block_size, 0, context.stream>>>(call.length, out);
      break;
  }
  check_launch();
}

void launch(const CudaContext& context, const Copy& call) {
  check_cuda(cudaMemcpyAsync(context.arenas.raw(call.to), context.arenas.raw(call.from),
                             static_cast<std::size_t>(call.to.bytes()), cudaMemcpyDeviceToDevice,
                             context.stream));
}

}  // namespace convoy
