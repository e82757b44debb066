// Fully connected layers: y (N,K) = x (N,C) w (K,C)ᵀ + bias, dx = dy w, dw = dyᵀ x. cuBLAS multiplies, in
// fp32 or TF32. It counts in columns, so every row-major matrix here is its transpose there. Layers with few
// outputs go to linear_narrow.cu.
#include <limits>

#include "kernels/cuda_context.h"
#include "kernels/fast_divide.h"
#include "kernels/fused.h"
#include "kernels/linear.h"
#include "kernels/linear_narrow.h"

namespace convoy {
namespace {

/// One matrix as cuBLAS sees it: transposed or not, and the length of a row in memory.
struct Operand {
  cublasOperation_t transpose;
  const float* data;
  int row;
};

/// out (n,m) row-major = the product over k of b (n,k) and a (k,m), as column-major out (m,n) = a (m,k) b
/// (k,n).
void multiply(const CudaContext& context, Math math, int m, int n, int k, Operand a, Operand b, float* out) {
  if (std::int64_t{m} * n == 0) return;
  if (k == 0) {
    check_cuda(cudaMemsetAsync(
        out, 0, sizeof(float) * static_cast<std::size_t>(m) * static_cast<std::size_t>(n), context.stream));
    return;
  }
  const float one = 1.0f, zero = 0.0f;
  // On a device without TF32 the faster mode is plain fp32.
  const cublasComputeType_t compute = math == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  check_cublas(cublasGemmEx(context.blas, a.transpose, b.transpose, m, n, k, &one, a.data, CUDA_R_32F, a.row,
                            b.data, CUDA_R_32F, b.row, &zero, out, CUDA_R_32F, m, compute,
                            CUBLAS_GEMM_DEFAULT));
}

/// y (rows,K) = f(y + bias (K)), the bias optional. Limited by bytes.
__global__ void bias_kernel(float* __restrict__ y, const float* __restrict__ bias, int count,
                            const FastDivide k, Rectifier activation) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  auto row = static_cast<std::uint32_t>(i);
  y[i] = activation.f(bias != nullptr ? y[i] + bias[k.divide(row)] : y[i]);
}

/// y = activation(x wᵀ + bias).
void fprop(const CudaContext& context, const LinearForward& call, Rectifier activation) {
  if (is_narrow(call.shape)) return narrow_forward(context, call, activation);
  const auto [n, c, k] = call.shape;
  auto* y = context.data<float>(call.y);  // (N,K)
  multiply(context, call.math, k, n, c, {CUBLAS_OP_T, context.data<const float>(call.w), c},
           {CUBLAS_OP_N, context.data<const float>(call.x), c}, y);
  const std::int64_t count = std::int64_t{n} * k;
  if ((!call.bias && activation.slope == 1.0f) || count == 0) return;
  check(count <= std::numeric_limits<int>::max() / 2, "linear layer with 2^30 outputs");
  constexpr int threads = 256;
  bias_kernel<<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, context.stream>>>(
      y, context.data<const float>(call.bias), static_cast<int>(count),
      FastDivide(static_cast<std::uint32_t>(k)), activation);
  check_launch();
}

}  // namespace

void launch(const CudaContext& context, const LinearForward& call) {
  fprop(context, call, Rectifier{});
}
void launch(const CudaContext& context, const LinearRectified& call) {
  fprop(context, call.plain, call.activation);
}

void launch(const CudaContext& context, const LinearDgrad& call) {
  if (is_narrow(call.shape)) return narrow_dgrad(context, call);
  const auto [n, c, k] = call.shape;
  multiply(context, call.math, c, n, k, {CUBLAS_OP_N, context.data<const float>(call.w), c},
           {CUBLAS_OP_N, context.data<const float>(call.dy), k}, context.data<float>(call.dx));
}

void launch(const CudaContext& context, const LinearWgrad& call) {
  if (is_narrow(call.shape)) return narrow_wgrad(context, call);
  const auto [n, c, k] = call.shape;
  multiply(context, call.math, c, k, n, {CUBLAS_OP_N, context.data<const float>(call.x), c},
           {CUBLAS_OP_T, context.data<const float>(call.dy), k}, context.data<float>(call.dw));
}

}  // namespace convoy
