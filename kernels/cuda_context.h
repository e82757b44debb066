// What a CUDA launcher needs besides its call.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <source_location>

#include "src/core/cuda.h"
#include "src/core/step_state.h"
#include "src/core/tensor.h"

namespace convoy {

class Communicator;
struct TileChoices;

inline void check_cublas(cublasStatus_t status,
                         std::source_location where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    fail("cuBLAS: {} ({}:{})", cublasGetStatusString(status), where.file_name(), where.line());
  }
}
struct CublasDeleter {
  void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
};
using CublasHandle = CudaHandle<cublasHandle_t, CublasDeleter>;

/// Not owning: the engine that holds stream, handle and arenas outlives it. Launchers only queue work on
/// `stream`; they run under stream capture, so they neither synchronise nor allocate.
class CudaContext {
 public:
  using Real = float;
  CudaContext(Communicator* communicator, cudaStream_t on, cublasHandle_t handle,
              const StepState* device_state)
      : stream(on), blas(handle), state(device_state), communicator_(communicator) {}

  ArenaPointers arenas;  ///< device addresses
  cudaStream_t stream;
  cublasHandle_t blas;                 ///< bound to `stream`, with its workspace set
  const StepState* state;              ///< in device memory: kernels read it, the host does not
  const TileChoices* tiles = nullptr;  ///< measured; where they say nothing, the cost model does

  template <class T>
  T* data(const Tensor& tensor) const {
    return arenas.data<T>(tensor);
  }
  Communicator& communicator() const { return *communicator_; }

 private:
  Communicator* communicator_;
};

}  // namespace convoy
