// What a CUDA launcher needs besides its call, RAII for CUDA's handles, and the checks around its calls.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <memory>
#include <source_location>

#include "src/core/step_state.h"
#include "src/core/tensor.h"

namespace convoy {

class Communicator;

/// Throws with CUDA's name and text of the error and the place of the call.
inline void check_cuda(cudaError_t status, std::source_location where = std::source_location::current()) {
  if (status != cudaSuccess) {
    fail("CUDA: {}: {} ({}:{})", cudaGetErrorName(status), cudaGetErrorString(status), where.file_name(), where.line());
  }
}
inline void check_cublas(cublasStatus_t status, std::source_location where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    fail("cuBLAS: {} ({}:{})", cublasGetStatusString(status), where.file_name(), where.line());
  }
}
/// After a kernel launch: throws when it was refused.
inline void check_launch(std::source_location where = std::source_location::current()) {
  check_cuda(cudaGetLastError(), where);
}

struct CudaDeleter {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
  void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
};
struct CudaFree {
  void operator()(void* memory) const { cudaFree(memory); }
};
struct CudaFreeHost {
  void operator()(void* memory) const { cudaFreeHost(memory); }
};
template <class Handle>
using CudaHandle = std::unique_ptr<std::remove_pointer_t<Handle>, CudaDeleter>;
using CudaStream = CudaHandle<cudaStream_t>;
using CudaEvent = CudaHandle<cudaEvent_t>;
using CudaGraph = CudaHandle<cudaGraph_t>;
using CudaGraphExec = CudaHandle<cudaGraphExec_t>;
using CublasHandle = CudaHandle<cublasHandle_t>;
template <class T>
using DeviceMemory = std::unique_ptr<T, CudaFree>;
template <class T>
using PinnedMemory = std::unique_ptr<T, CudaFreeHost>;

/// Not owning: the engine that holds stream, handle and arenas outlives it. Launchers only queue work on `stream`;
/// they run under stream capture, so they neither synchronise nor allocate.
class CudaContext {
 public:
  using Real = float;
  CudaContext(Communicator* communicator, cudaStream_t stream, cublasHandle_t blas, const StepState* state)
      : stream(stream), blas(blas), state(state), communicator_(communicator) {}

  ArenaPointers arenas;  ///< device addresses
  cudaStream_t stream;
  cublasHandle_t blas;     ///< bound to `stream`, with its workspace set
  const StepState* state;  ///< in device memory: kernels read it, the host does not

  template <class T>
  T* data(const Tensor& tensor) const {
    return arenas.data<T>(tensor);
  }
  Communicator& communicator() const { return *communicator_; }

 private:
  Communicator* communicator_;
};

}  // namespace convoy
