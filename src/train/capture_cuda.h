// A plan as a CUDA graph.
#pragma once

#include <functional>

#include "kernels/cuda_context.h"
#include "src/core/cuda.h"
#include "src/plan/plan.h"

namespace convoy {

/// What `work` queues on `stream`, and on streams that it forks from and joins again, as a graph; nothing is
/// executed. Throws what `work` threw.
CudaGraphExec capture(cudaStream_t stream, const std::function<void()>& work);

/// Queues the plan's calls under capture, those of the side lane on `side`'s stream (src/plan/lanes.h), and
/// the collectives on the communicator's. Throws what a launcher threw, with the call's name.
CudaGraphExec capture_plan(const Plan& plan, const CudaContext& main, const CudaContext& side);

}  // namespace convoy
