// `convoy train --profile`: which calls a step's time goes to.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/engine/engine.h"
#include "src/plan/plan.h"

namespace convoy {

/// Gathers the times of the calls of some training steps. Timing does not change their results.
class Profiler {
 public:
  /// Of `steps` steps, after the first two of the process.
  explicit Profiler(int steps) : left_(steps) {}

  /// Called before each training step: whether it is to be timed.
  bool begin_step();
  /// `plan` outlives this; `times` has one entry per call.
  void end_step(const Plan& plan, std::vector<CallTime> times);
  /// All steps are timed.
  bool is_full() const { return left_ == 0; }
  bool is_empty() const { return steps_.empty(); }

  /// Calls of the first step's plan, as executed: the mean over all steps of that plan, and sums per kind.
  /// Shares are of the time of all calls together, which two streams spend side by side.
  std::string table() const;
  /// Collective: the steps of all ranks as a file for chrome://tracing and https://ui.perfetto.dev, written
  /// by rank 0. A span per call, `pid` the rank, `tid` the stream; times in microseconds since the first
  /// rank's first step, by the hosts' clocks. Throws Error on rank 0 when it cannot be written.
  /// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format)
  void write_trace(const std::filesystem::path& path, const RankEnvironment& ranks) const;

 private:
  struct TimedStep {
    const Plan* plan = nullptr;
    std::int64_t begin = 0;  ///< nanoseconds since 1970
    double seconds = 0;
    std::vector<CallTime> times;
  };

  int left_, warm_up_ = 2;
  std::chrono::system_clock::time_point step_begin_;
  std::vector<TimedStep> steps_;
};

}  // namespace convoy
