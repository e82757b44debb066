// A checkpoint as a model to use rather than a run to go on with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/config/config.h"
#include "src/io/safetensors.h"
#include "src/model/graph.h"

namespace convoy {

struct TrainedModel {
  std::filesystem::path checkpoint;
  Config config;
  Graph graph;
  TensorFile weights;                    ///< exported_weights()
  std::vector<std::string> class_names;  ///< in the order of the scores; empty: not known
};

/// Of a run's folder or a checkpoint, chosen as load_checkpoint() does; collective. With `best`, a run's best
/// checkpoint. Throws AgreedError when there is none or it is damaged.
TrainedModel load_trained_model(const std::filesystem::path& path, bool best, const RankEnvironment& ranks);

}  // namespace convoy
