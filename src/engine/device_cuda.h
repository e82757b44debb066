// A rank's GPU before any engine: found, chosen, named, with the streams that calls are queued on.
#pragma once

#include <optional>
#include <string>

#include "comm/rank_environment.h"
#include "core/step_state.h"
#include "kernels/cuda_blas.h"
#include "src/engine/engine.h"
#include "src/plan/streams.h"

namespace convoy {

/// A stream with what its launchers need.
struct GpuStream {
  explicit GpuStream(StreamRole role);

  CudaStream stream;
  std::optional<Cublas> blas;  ///< made by the first plan that needs it
};

/// What a rank makes without the others.
struct RankDevice {
  /// Throws unless this rank has a device that can run this binary; makes it current.
  explicit RankDevice(const RankEnvironment& ranks);

  int number;
  DeviceMemory<StepState> state;
  GpuStream main, side;
};

/// Name, memory, compute capability.
std::string describe_device(int device);
DeviceIdentity identity_of_device(int device);

}  // namespace convoy
