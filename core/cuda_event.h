// CUDA's events. Both kinds belong to the device that is current when they are made.
#pragma once

#include "core/cuda.h"

namespace convoy {

/// Orders the work of streams.
inline CudaEvent make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return CudaEvent(event);
}
/// Says when it was reached, too.
inline CudaEvent make_timed_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreate(&event));
  return CudaEvent(event);
}

}  // namespace convoy
