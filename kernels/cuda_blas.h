// cuBLAS, opened when a plan first has a product for it.
#pragma once

#include <cublas_v2.h>

#include <memory>
#include <source_location>
#include <string>
#include <type_traits>

#include "core/cuda.h"
#include "core/shared_library.h"

namespace convoy {

/// cuBLAS's functions.
struct CublasLibrary {
  /// Throws an error that says what to install if no library of this program's CUDA version is found.
  CublasLibrary();

  SharedLibrary lt;  ///< cublasLt, which cuBLAS's own needs
  SharedLibrary library;
  decltype(&cublasGetProperty) get_property = nullptr;
  decltype(&cublasGetStatusString) get_status_string = nullptr;
  decltype(&cublasCreate) create = nullptr;
  decltype(&cublasDestroy) destroy = nullptr;
  decltype(&cublasSetStream) set_stream = nullptr;
  decltype(&cublasSetWorkspace) set_workspace = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  decltype(&cublasSetAtomicsMode) set_atomics_mode = nullptr;
  // Its header has a second function of this name.
  cublasStatus_t (*gemm_ex)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType, int lda, const void* b,
                            cudaDataType, int ldb, const void* beta, void* c, cudaDataType, int ldc,
                            cublasComputeType_t, cublasGemmAlgo_t) = nullptr;

  /// Throws with cuBLAS's text of the error.
  void check(cublasStatus_t status, std::source_location where = std::source_location::current()) const;
  /// "13.0.2, /usr/local/cuda/lib64/libcublas.so.13".
  std::string describe() const;
};

/// What one stream's products need. fp32 as it says, TF32 only where a product asks for it; no atomics, so
/// that results repeat.
class Cublas {
 public:
  /// Waits for the stream: a first product makes cuBLAS set itself up, outside of any capture.
  Cublas(std::shared_ptr<const CublasLibrary> library, cudaStream_t stream);

  const CublasLibrary& library() const { return *library_; }
  cublasHandle_t handle() const { return handle_.get(); }

  static constexpr std::size_t workspace_bytes = std::size_t{32}
                                                 << 20;  ///< what NVIDIA recommends for Hopper

 private:
  std::shared_ptr<const CublasLibrary> library_;
  DeviceMemory<std::byte> workspace_;
  std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, cublasStatus_t (*)(cublasHandle_t)> handle_;
};

}  // namespace convoy
