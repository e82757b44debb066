// Which parameters train when, and with what learning rate and weight decay.
#pragma once

#include <vector>

#include "src/config/config.h"
#include "src/model/graph.h"
#include "src/plan/layout.h"

namespace convoy {

/// The stages that train.freeze makes, without their elements, and the stage in which each parameter begins
/// to train (as Layout::stages and Layout::stage_of). Throws Error (exit code 2) for a pattern that no
/// parameter has, and where nothing is left to train.
struct TrainingStages {
  std::vector<Stage> stages;
  std::vector<int> stage_of;
};
TrainingStages stages_of(const Graph& graph, const TrainConfig& train);

/// What optimizer.groups says of each parameter.
struct ParameterGroup {
  float rate = 1;   ///< factor of the learning rate
  float decay = 0;  ///< weight decay
};
/// Throws Error (exit code 2) for a pattern that no parameter has.
std::vector<ParameterGroup> groups_of(const Graph& graph, const OptimizerConfig& optimizer);

}  // namespace convoy
