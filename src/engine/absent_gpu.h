// A GPU that plans are made for without one: `convoy plan --gpu sm_90a`, and tests of what it would get.
#pragma once

#include "kernels/conv/cuda/device.h"
#include "src/engine/plan_target.h"

namespace convoy {

/// Its plans have the calls, shapes and kernels of a CUDA engine's plans. Scratch is counted for convolutions
/// alone, because the other launchers declare theirs in CUDA sources. Memory is assumed to suffice.
class AbsentGpu final : public PlanTarget {
 public:
  explicit AbsentGpu(const KnownGpu& gpu) : gpu_(gpu) {}

  std::string describe() const override;
  DType real() const override { return DType::f32; }
  bool computes_in(Precision precision) const override;
  bool has(const Call& call) const override;
  int streams() const override { return 2; }
  std::int64_t workspace_bytes(const Call& call) const override;
  std::int64_t free_bytes() const override;
  KernelChoice kernels_of(const Call& call) const override;

 private:
  KnownGpu gpu_;
};

}  // namespace convoy
