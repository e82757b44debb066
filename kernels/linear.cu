// Fully connected layers: y (N,K) = x (N,C) w (K,C)ᵀ + bias, dx = dy w, dw = dyᵀ x. cuBLAS multiplies: what
// is stored in 16 bits as it is, floats in fp32 or TF32; dw comes out in float. It counts in columns, so
// every row-major matrix here is its transpose there. Layers with few outputs go to linear_narrow.cu.
#include <limits>

#include "kernels/cuda_blas.h"
#include "kernels/cuda_device.cuh"
#include "kernels/fused.h"
#include "kernels/linear.h"
#include "kernels/linear_narrow.h"

namespace convoy {
namespace {

template <class T>
constexpr cudaDataType_t cuda_type = CUDA_R_32F;
template <>
constexpr cudaDataType_t cuda_type<Half> = CUDA_R_16F;
template <>
constexpr cudaDataType_t cuda_type<BFloat16> = CUDA_R_16BF;

/// One matrix as cuBLAS sees it: transposed or not, and the length of a row in memory.
template <class T>
struct Operand {
  cublasOperation_t transpose;
  const T* data;
  int row;
};

/// out (n,m) row-major = the product over k of b (n,k) and a (k,m), as column-major out (m,n) = a (m,k) b
/// (k,n).
template <class T, class Out>
void multiply(const CudaContext& context, Math math, int m, int n, int k, Operand<T> a, Operand<T> b,
              Out* out) {
  if (std::int64_t{m} * n == 0) return;
  if (k == 0) {
    check_cuda(cudaMemsetAsync(
        out, 0, sizeof(Out) * static_cast<std::size_t>(m) * static_cast<std::size_t>(n), context.stream));
    return;
  }
  const float one = 1.0f, zero = 0.0f;
  // On a device without TF32 the faster mode is plain fp32.
  const bool tf32 = std::is_same_v<T, float> && math == Math::tf32;
  check(context.blas != nullptr, "cuBLAS is opened before a plan that needs it runs");
  const CublasLibrary& blas = context.blas->library();
  blas.check(blas.gemm_ex(context.blas->handle(), a.transpose, b.transpose, m, n, k, &one, a.data,
                          cuda_type<T>, a.row, b.data, cuda_type<T>, b.row, &zero, out, cuda_type<Out>, m,
                          tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

/// y (rows,K) = f(y + bias (K)), the bias optional. Limited by bytes.
template <class T>
__global__ void bias_kernel(T* __restrict__ y, const float* __restrict__ bias, int count, const FastDivide k,
                            LeakyReluEpilogue activation) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  auto row = static_cast<std::uint32_t>(i);
  const float product = to_float(y[i]);
  y[i] = from_float<T>(activation.f(bias != nullptr ? product + bias[k.divide(row)] : product));
}

/// y = activation(x wᵀ + bias).
void fprop(const CudaContext& context, const LinearForward& call, LeakyReluEpilogue activation) {
  if (is_narrow(call.shape)) return narrow_forward(context, call, activation);
  const auto [n, c, k] = call.shape;
  const std::int64_t count = std::int64_t{n} * k;
  with_storage(call.x.dtype, [&]<class T>(T) {
    auto* y = context.data<T>(call.y);  // (N,K)
    multiply<T>(context, call.math, k, n, c, {CUBLAS_OP_T, context.data<const T>(call.w), c},
                {CUBLAS_OP_N, context.data<const T>(call.x), c}, y);
    if ((!call.bias && activation.slope == 1.0f) || count == 0) return;
    check(count <= std::numeric_limits<int>::max() / 2, "linear layer with 2^30 outputs");
    bias_kernel<<<blocks_for(count), block_size, 0, context.stream>>>(
        y, context.data<const float>(call.bias), static_cast<int>(count),
        FastDivide(static_cast<std::uint32_t>(k)), activation);
  });
  check_launch();
}

}  // namespace

void launch(const CudaContext& context, const LinearForward& call) {
  fprop(context, call, LeakyReluEpilogue{});
}
void launch(const CudaContext& context, const LinearActivation& call) {
  fprop(context, call.plain, call.activation);
}

void launch(const CudaContext& context, const LinearDgrad& call) {
  if (is_narrow(call.shape)) return narrow_dgrad(context, call);
  const auto [n, c, k] = call.shape;
  with_storage(call.dx.dtype, [&]<class T>(T) {
    multiply<T>(context, call.math, c, n, k, {CUBLAS_OP_N, context.data<const T>(call.w), c},
                {CUBLAS_OP_N, context.data<const T>(call.dy), k}, context.data<T>(call.dx));
  });
}

void launch(const CudaContext& context, const LinearWgrad& call) {
  if (is_narrow(call.shape)) return narrow_wgrad(context, call);
  const auto [n, c, k] = call.shape;
  with_storage(call.x.dtype, [&]<class T>(T) {
    multiply<T>(context, call.math, c, k, n, {CUBLAS_OP_N, context.data<const T>(call.x), c},
                {CUBLAS_OP_T, context.data<const T>(call.dy), k}, context.data<float>(call.dw));
  });
}

}  // namespace convoy
