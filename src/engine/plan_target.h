// The target of a plan: an engine, or a GPU that this machine may lack (absent_gpu.h).
#pragma once

#include <cstdint>
#include <string>

#include "src/config/config.h"
#include "src/plan/plan.h"

namespace convoy {

/// The kernels that a call runs with, in words.
struct KernelChoice {
  std::string family;  ///< "hopper"; empty where there is but one
  std::string tiles;   ///< "128x64, tile 4"; empty where the family has one
};
/// "hopper 128x64, tile 4".
inline std::string to_string(const KernelChoice& choice) {
  return choice.tiles.empty() ? choice.family : choice.family + ' ' + choice.tiles;
}

class PlanTarget {
 public:
  virtual ~PlanTarget() = default;
  /// One line for people: "cpu, 2 threads, avx2" or "NVIDIA H200, 141 GB".
  virtual std::string describe() const = 0;
  /// The type of activations and parameters.
  virtual DType real() const = 0;
  /// Whether it trains in this precision.
  virtual bool computes_in(Precision precision) const = 0;
  /// Whether it has a launcher for a call; all engines have those that training_plan emits.
  virtual bool has(const Call& call) const = 0;
  /// Streams on which it runs calls side by side (src/plan/streams.h): one or two.
  virtual int streams() const { return 1; }
  /// Bytes of scratch that the engine's launcher needs for a call.
  virtual std::int64_t workspace_bytes(const Call& call) const = 0;
  /// Bytes of memory free for arenas where the engine computes.
  virtual std::int64_t free_bytes() const = 0;
  /// The kernels of a convolution whose tensors are placed; empty for other calls.
  virtual KernelChoice kernels_of(const Call& call) const = 0;
};

}  // namespace convoy
