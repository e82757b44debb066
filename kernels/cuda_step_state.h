// The device's copy of StepState.
#pragma once

#include <cuda_runtime.h>

#include "core/step_state.h"

namespace convoy {

/// Queues *device = value. The value travels as a kernel argument: nothing to keep alive, nothing to wait
/// for.
void store_step_state(cudaStream_t stream, StepState* device, const StepState& value);

/// Whether this binary holds machine code for the current device: cudaSuccess, or the error a launch would
/// meet.
cudaError_t probe_machine_code();

}  // namespace convoy
