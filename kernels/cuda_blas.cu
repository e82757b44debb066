#include <array>
#include <filesystem>
#include <utility>

#include "core/cuda_library.h"
#include "kernels/cuda_blas.h"

namespace convoy {
namespace {

LibrarySearch cublas_search(const char* name) {
  return cuda_library(fmt::format("{}.so.{}", name, cuda_major),
                      fmt::format("libcublas-{}-{}", cuda_major, cuda_minor),
                      cuda_major >= 13 ? "nvidia-cublas" : fmt::format("nvidia-cublas-cu{}", cuda_major));
}

}  // namespace

// The loader finds an open cublasLt by its name when cuBLAS asks for it, also where it would not look by
// itself.
CublasLibrary::CublasLibrary()
    : lt(open_library(cublas_search("libcublasLt"))), library(open_library(cublas_search("libcublas"))) {
  library.get(get_property, "cublasGetProperty");
  library.get(get_status_string, "cublasGetStatusString");
  library.get(create, "cublasCreate_v2");
  library.get(destroy, "cublasDestroy_v2");
  library.get(set_stream, "cublasSetStream_v2");
  library.get(set_workspace, "cublasSetWorkspace_v2");
  library.get(set_math_mode, "cublasSetMathMode");
  library.get(set_atomics_mode, "cublasSetAtomicsMode");
  library.get(gemm_ex, "cublasGemmEx");
  int major = 0;
  check(get_property(MAJOR_VERSION, &major));
  if (major != cuda_major)
    fail("{} is cuBLAS {}, this program was built for CUDA {}: {}", library.path(), major, cuda_major,
         cublas_search("libcublas").remedy);
}

void CublasLibrary::check(cublasStatus_t status, std::source_location where) const {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("cuBLAS: {} ({}:{})", get_status_string(status), where.file_name(), where.line());
}

std::string CublasLibrary::describe() const {
  std::array<int, 3> version{};
  check(get_property(MAJOR_VERSION, &version[0]));
  check(get_property(MINOR_VERSION, &version[1]));
  check(get_property(PATCH_LEVEL, &version[2]));
  return fmt::format("{}.{}.{}, {}", version[0], version[1], version[2], library.path());
}

Cublas::Cublas(std::shared_ptr<const CublasLibrary> library, cudaStream_t stream)
    : library_(std::move(library)),
      workspace_(allocate_device<std::byte>(workspace_bytes)),
      handle_(nullptr, library_->destroy) {
  const CublasLibrary& blas = *library_;
  cublasHandle_t handle = nullptr;
  blas.check(blas.create(&handle));
  handle_.reset(handle);
  blas.check(blas.set_stream(handle, stream));
  // After the stream, which resets it.
  blas.check(blas.set_workspace(handle, workspace_.get(), workspace_bytes));
  // Parts of a split sum stay in float until all are added, also where the result is stored in 16 bits.
  blas.check(blas.set_math_mode(handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
  blas.check(blas.set_atomics_mode(handle, CUBLAS_ATOMICS_NOT_ALLOWED));
  constexpr int n = 16;
  const auto matrices = allocate_device<float>(std::size_t{3} * n * n);
  float* a = matrices.get();
  const float one = 1.0f, zero = 0.0f;
  check_cuda(cudaMemsetAsync(a, 0, std::size_t{3} * n * n * sizeof(float), stream));
  blas.check(blas.gemm_ex(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, CUDA_R_32F, n, a + n * n,
                          CUDA_R_32F, n, &zero, a + 2 * n * n, CUDA_R_32F, n, CUBLAS_COMPUTE_32F,
                          CUBLAS_GEMM_DEFAULT));
  check_cuda(cudaStreamSynchronize(stream));
}

}  // namespace convoy
