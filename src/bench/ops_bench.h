// `convoy bench ops`: the distinct calls of a configuration's training step, each by itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/bench/ceilings.h"
#include "src/bench/rival.h"
#include "src/config/config.h"

namespace convoy {

struct OpRow {
  std::string node;  ///< the first layer that makes this call
  int count = 0;     ///< how many do
  Call call;
  KernelChoice kernels{};  ///< of a convolution
  double seconds = 0;
  double limit_seconds = 0;
  std::optional<RivalTime> rival{};
};

struct OpsFigures {
  std::string engine;
  Operands operands;
  Ceilings ceilings;
  std::vector<OpRow> rows;  ///< in the order of the step
};

/// The convolutions, without their biases, of the step's plain plan, or (`all`) every call of the plan as
/// `train.fusion` has it; calls of one kind and shape once.
std::vector<OpRow> distinct_calls(const Plan& plan, bool all);

/// Times each call on random tensors: the median of 20 executions, fewer where they take long. `rival`: a
/// program for ask_rival, or empty.
OpsFigures bench_ops(const Config& config, const RankEnvironment& ranks, bool all,
                     const std::filesystem::path& rival);

}  // namespace convoy
