#include "core/cuda.h"
#include "kernels/cuda_step_state.h"

namespace convoy {
namespace {

__global__ void store_step_state_kernel(StepState* device, StepState value) {
  *device = value;
}

}  // namespace

void store_step_state(cudaStream_t stream, StepState* device, const StepState& value) {
  store_step_state_kernel<<<1, 1, 0, stream>>>(device, value);
  check_launch();
}

cudaError_t probe_machine_code() {
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, store_step_state_kernel);
  static_cast<void>(cudaGetLastError());  // reported here; not to be met again at the next launch
  return status;
}

}  // namespace convoy
