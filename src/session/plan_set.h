// All plans of a run: one per batch size that occurs, for training and for evaluation, over the same arenas.
#pragma once

#include <map>
#include <string>

#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/engine/engine.h"
#include "src/plan/passes.h"

namespace convoy {

/// How many samples there are, known from the loaded data set or, before, from its source.
struct SampleCounts {
  int train = 0, validation = 0, test = 0, samples = 0;
};
SampleCounts sample_counts(const Dataset& dataset);
SampleCounts nominal_counts(const DataConfig& config);

struct PlanSet {
  Layout layout;
  SampleCounts counts;
  bool resident = true;  ///< the whole data set is kept where the step runs
  std::vector<Range> training_batches, evaluation_batches;
  std::vector<Range> test_batches;                  ///< of the test part, counted within it
  std::map<int, Plan> training, evaluation;         ///< by the batch's global number of images
  std::vector<std::map<int, Plan>> later_training;  ///< of each stage (Layout::stages) after the first
  Plan verification;                                ///< hashes of the weights
  ArenaSizes arenas{};                              ///< bytes that serve every plan
  std::string caution;  ///< a warning about a setting that may be a mistake; mostly empty
  std::int64_t total_bytes() const;
};

/// Builds every plan of this rank. When the data set is neither forced to be resident nor fits beside the
/// rest, only two staged batches are kept. Throws AgreedError (exit code 2) for a global batch smaller than
/// the rank count, for a training part that drop_last leaves without a batch, and for a BatchNorm over one
/// value.
PlanSet make_plans(const Graph& graph, const Config& config, const SampleCounts& counts,
                   const PlanTarget& target, const RankEnvironment& ranks);

/// Empty when the plans fit the engine's free memory, else the numbers and a global batch that would fit.
std::string memory_problem(const PlanSet& plans, const Config& config, const Engine& engine);

/// "12.3 MiB".
std::string human_bytes(std::int64_t bytes);

}  // namespace convoy
