// What the device could do at best, measured in the same run as what is compared with it.
#pragma once

#include "src/config/config.h"
#include "src/engine/engine.h"

namespace convoy {

struct Ceilings {
  double flops_per_second = 0;  ///< multiply-adds from registers, in the arithmetic asked for
  double bytes_per_second = 0;  ///< of a large copy, read and written
  /// The least time for so many operations and so many bytes, which may overlap.
  double seconds(std::int64_t flops, std::int64_t bytes) const;
  /// The same for calls that run one after the other.
  double seconds(const Plan& plan) const;
};

/// What the first convolution or linear layer of a plan multiplies.
struct Operands {
  DType type = DType::f32;
  Math math = Math::fp32;
};
Operands operands_of(const Plan& plan);
/// "f32", "tf32", "f16": what a row or a chart says of them.
const char* name_of(const Operands& operands);

/// Runs the probes (kernels/probe.h) on an engine of their own like the one for `config`. Collective: ranks
/// that share a host measure at the same time.
Ceilings measure_ceilings(const Config& config, const Operands& operands, const RankEnvironment& ranks);

}  // namespace convoy
