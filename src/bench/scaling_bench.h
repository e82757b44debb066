// `convoy bench scaling`: the same training step on 1, 2, 4, ... ranks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/config/config.h"
#include "src/plan/plan.h"

namespace convoy {

struct ScalingRow {
  int ranks = 0, global_batch = 0;
  double step_seconds = 0;
  /// Of several ranks: the share of the step by which it takes longer than the same step without its sums
  /// over ranks. Noise can make it negative.
  std::optional<double> exposed;
  double images_per_second() const { return global_batch / step_seconds; }
};

struct ScalingFigures {
  std::string engine;  ///< rank 0's
  /// By rank count; both begin with the same row of one rank. Weak: the configuration's batch for each rank.
  /// Strong: the configuration's batch in all, as far as every rank has an image of it.
  std::vector<ScalingRow> weak, strong;
};

/// Of what the first row's one rank would do if each rank of `row` did as much.
double efficiency(const ScalingRow& row, const ScalingRow& one_rank);

/// 1, 2, 4, ... and `ranks` itself.
std::vector<int> rank_counts(int ranks);

/// The plan without its sums over ranks; what it computes is then each rank's own.
Plan without_sums(Plan plan);

/// Each measurement takes about `seconds`, twice that where the step without sums is measured beside it, in
/// turn. The first n ranks work while the others rest, with as many threads as they have among all.
/// Collective.
ScalingFigures bench_scaling(const Config& config, const RankEnvironment& ranks, double seconds);

}  // namespace convoy
