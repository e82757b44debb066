// A plan as a CUDA graph.
#pragma once

#include <functional>
#include <vector>

#include "comm/communicator.h"
#include "core/cuda.h"
#include "kernels/cuda_context.h"
#include "src/engine/engine.h"
#include "src/plan/plan.h"

namespace convoy {

/// What `work` queues on `stream`, and on streams that it forks from and joins again, as a graph; nothing is
/// executed. Throws what `work` threw.
CudaGraphExec capture(cudaStream_t stream, const std::function<void()>& work);

/// Where the calls of a plan are queued.
struct PlanStreams {
  const CudaContext &main, &side;  ///< the streams of kernels (src/plan/streams.h)
  Communicator& communicator;      ///< collectives run on its own stream
};

/// Queues the plan's calls under capture. Throws what a launcher threw, with the call's name.
CudaGraphExec capture_plan(const Plan& plan, const PlanStreams& streams);

/// Events around each call of a plan, on the stream that runs it.
struct TimedCalls {
  CudaEvent start;
  std::vector<CudaEvent> begins, ends;
  std::vector<int> streams;
};
/// Queues the plan's calls one by one, on the same streams as capture_plan() and in the same order.
TimedCalls queue_timed(const Plan& plan, const PlanStreams& streams);
/// To be called when the main stream has finished.
std::vector<CallTime> times_of(const TimedCalls& calls);

}  // namespace convoy
