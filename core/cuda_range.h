// Ranges that NVIDIA's profilers show on their time lines: nsys profile --trace=cuda,nvtx convoy train ...
#pragma once

#include <nvtx3/nvToolsExt.h>

namespace convoy {

/// What this thread does from here to the end of the scope. Without a profiler a call that returns at once.
/// Calls of a step are queued once, when their graph is captured, and stand in a range then; later steps are
/// a range each, of the plan's name.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name) { nvtxRangePushA(name); }
  ~ProfilerRange() { nvtxRangePop(); }
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace convoy
