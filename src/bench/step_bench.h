// `convoy bench step`: the training step of a configuration on random images.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "src/bench/ceilings.h"
#include "src/config/config.h"

namespace convoy {

/// One rank's part of the measurement.
struct RankFigures {
  int images = 0;  ///< of every global batch
  double step_seconds = 0;
};

struct StepFigures {
  std::string engine;  ///< rank 0's
  Operands operands;
  std::vector<RankFigures> ranks;
  double step_seconds = 0;        ///< the slowest rank's, median of the rounds
  double first_step_seconds = 0;  ///< from the start of the process to the end of the first step
  std::optional<double> resident_step_seconds;  ///< of staged data: the same step on resident data
  int rounds = 0, steps = 0;                    ///< steps of each round
  std::int64_t flops = 0;                       ///< of a step, over all ranks
  ArenaSizes arenas{};                          ///< rank 0's
  Ceilings ceilings;                            ///< rank 0's
  double limit_seconds = 0;                     ///< of rank 0's step, call by call
};

/// Times whole steps for about `seconds`, first step and ceilings not counted. One batch is trained on again
/// and again: resident, or with data.resident false staged for each step, and then in turn with a second
/// session on resident data. Collective.
StepFigures bench_step(const Config& config, const RankEnvironment& ranks, double seconds,
                       std::chrono::steady_clock::time_point process_start);

}  // namespace convoy
