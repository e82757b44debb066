// What a CUDA launcher needs besides its call.
#pragma once

#include <cuda_runtime.h>

#include "core/cuda.h"
#include "core/step_state.h"
#include "core/tensor.h"

namespace convoy {

class Cublas;
struct TileChoices;

/// Not owning: the engine that holds stream, handle and arenas outlives it. Launchers only queue work on
/// `stream`; they run under stream capture, so they neither synchronise nor allocate.
class CudaContext {
 public:
  using Real = float;
  CudaContext(cudaStream_t on, const StepState* device_state) : stream(on), state(device_state) {}

  ArenaPointers arenas;  ///< device addresses
  cudaStream_t stream;
  const Cublas* blas = nullptr;        ///< bound to `stream`; there where a plan has a product for it
  const StepState* state;              ///< in device memory: kernels read it, the host does not
  const TileChoices* tiles = nullptr;  ///< measured; for other products the cost model decides

  template <class T>
  T* data(const Tensor& tensor) const {
    return arenas.data<T>(tensor);
  }
};

}  // namespace convoy
