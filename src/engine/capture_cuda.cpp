#include "src/engine/capture_cuda.h"

#include <vector>

#include "core/cuda_event.h"
#include "core/cuda_range.h"
#include "src/engine/launch.h"
#include "src/plan/streams.h"

namespace convoy {
namespace {

/// Orders the work of two streams: `later` waits for what `earlier` was given so far.
void wait(cudaStream_t later, cudaStream_t earlier) {
  const CudaEvent event = make_event();  // under capture only its place in the graph matters
  check_cuda(cudaEventRecord(event.get(), earlier));
  check_cuda(cudaStreamWaitEvent(later, event.get(), 0));
}

/// Queues steps on two streams. Right after each step that a step of the other stream waits for, an event is
/// recorded.
class Queue {
 public:
  Queue(const Plan& plan, const PlanStreams& streams)
      : slots_(schedule_streams(plan)), events_(slots_.size()), streams_(streams) {
    for (const StreamSlot& slot : slots_) {
      if (!slot.waits_for || events_[*slot.waits_for] != nullptr) continue;
      events_[*slot.waits_for] = make_event();
    }
  }
  /// `begin` and `end`, where given, are recorded around the call.
  void add(std::size_t step, const Call& call, cudaEvent_t begin = nullptr, cudaEvent_t end = nullptr) {
    const StreamSlot& slot = slots_[step];
    const CudaContext& context = slot.role == StreamRole::side ? streams_.side : streams_.main;
    if (slot.role == StreamRole::side && !forked_) {
      wait(streams_.side.stream, streams_.main.stream);
      forked_ = true;
    }
    if (slot.waits_for) check_cuda(cudaStreamWaitEvent(context.stream, events_[*slot.waits_for].get(), 0));
    if (begin != nullptr) check_cuda(cudaEventRecord(begin, context.stream));
    launch_call(context, streams_.communicator, call);
    if (end != nullptr) check_cuda(cudaEventRecord(end, context.stream));
    if (events_[step] != nullptr) check_cuda(cudaEventRecord(events_[step].get(), context.stream));
  }
  StreamRole role_of_step(std::size_t step) const { return slots_[step].role; }
  /// A stream that forks and never joins again would make the capture invalid.
  void join() {
    streams_.communicator.join();
    if (forked_) wait(streams_.main.stream, streams_.side.stream);
  }

 private:
  std::vector<StreamSlot> slots_;
  std::vector<CudaEvent> events_;
  const PlanStreams& streams_;
  bool forked_ = false;
};

/// As `convoy plan` has it: "3 conv.fprop".
std::string range_name(const Step& step) {
  return step.node.empty() ? name_of(step.call) : fmt::format("{} {}", step.node, name_of(step.call));
}

}  // namespace

CudaGraphExec capture(cudaStream_t stream, const std::function<void()>& work) {
  // Relaxed: loading a kernel allocates, which the stricter modes refuse.
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  cudaGraph_t captured = nullptr;
  try {
    work();
  } catch (const Error&) {
    cudaStreamEndCapture(stream, &captured);
    const CudaGraph partial(captured);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream, &captured));
  const CudaGraph graph(captured);
  cudaGraphExec_t executable = nullptr;
  // Keeps the streams' priorities.
  check_cuda(cudaGraphInstantiate(&executable, captured, cudaGraphInstantiateFlagUseNodePriority));
  return CudaGraphExec(executable);
}

CudaGraphExec capture_plan(const Plan& plan, const PlanStreams& streams) {
  Queue queue(plan, streams);
  return capture(streams.main.stream, [&] {
    const Step* current = nullptr;
    try {
      for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        current = &plan.steps[i];
        const ProfilerRange range(range_name(*current).c_str());
        queue.add(i, current->call);
      }
      queue.join();
    } catch (const Error& error) {
      throw Error(format_printable("{} (plan {}, {} of {})", error.what(), plan.name,
                                   current == nullptr ? "start" : name_of(current->call),
                                   current == nullptr ? "" : current->node),
                  error.code());
    }
  });
}

TimedCalls queue_timed(const Plan& plan, const PlanStreams& streams) {
  Queue queue(plan, streams);
  TimedCalls calls;
  calls.start = make_timed_event();
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    calls.begins.push_back(make_timed_event());
    calls.ends.push_back(make_timed_event());
    calls.streams.push_back(static_cast<int>(queue.role_of_step(i)));
  }
  check_cuda(cudaEventRecord(calls.start.get(), streams.main.stream));
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const ProfilerRange range(range_name(plan.steps[i]).c_str());
    queue.add(i, plan.steps[i].call, calls.begins[i].get(), calls.ends[i].get());
  }
  queue.join();
  return calls;
}

std::vector<CallTime> times_of(const TimedCalls& calls) {
  const auto seconds_until = [&](const CudaEvent& event) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, calls.start.get(), event.get()));
    return static_cast<double>(milliseconds) * 1e-3;
  };
  std::vector<CallTime> times;
  for (std::size_t i = 0; i < calls.begins.size(); ++i)
    times.push_back({seconds_until(calls.begins[i]), seconds_until(calls.ends[i]), calls.streams[i]});
  return times;
}

}  // namespace convoy
