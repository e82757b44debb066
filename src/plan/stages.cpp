#include "src/plan/stages.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "src/model/patterns.h"

namespace convoy {

TrainingStages stages_of(const Graph& graph, const TrainConfig& train) {
  constexpr int never = std::numeric_limits<int>::max();
  std::vector<int> begins(graph.parameters.size(), 0);  // the epoch in which each begins to train
  for (const FreezeConfig& freeze : train.freeze) {
    const std::vector<bool> frozen = matching(graph, freeze.match, freeze.mark.text() + ": train.freeze");
    for (std::size_t i = 0; i < begins.size(); ++i)
      if (frozen[i]) begins[i] = std::max(begins[i], freeze.epochs == 0 ? never : freeze.epochs);
  }
  std::set<int> epochs(begins.begin(), begins.end());
  epochs.erase(never);
  if (!epochs.contains(0)) {
    fail_usage("{}: train.freeze: {}; leave the last layer out", train.freeze.front().mark.text(),
               epochs.empty() ? std::string("it freezes every parameter, so that there is nothing to train")
                              : fmt::format("nothing would train in the first {} epochs", *epochs.begin()));
  }
  TrainingStages result;
  for (const int epoch : epochs) result.stages.push_back({epoch});
  for (const int epoch : begins)
    result.stage_of.push_back(static_cast<int>(std::distance(epochs.begin(), epochs.lower_bound(epoch))));
  return result;
}

std::vector<ParameterGroup> groups_of(const Graph& graph, const OptimizerConfig& optimizer) {
  const std::size_t count = graph.parameters.size();
  std::vector<const GroupConfig*> group(count, nullptr);
  for (const GroupConfig& config : optimizer.groups) {
    const std::vector<bool> has = matching(graph, config.match, config.mark.text() + ": optimizer.groups");
    for (std::size_t i = 0; i < count; ++i)
      if (has[i] && group[i] == nullptr) group[i] = &config;
  }
  std::vector<ParameterGroup> groups(count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool decays = graph.parameters[i].is_weight || optimizer.decay_all;
    if (decays) groups[i].decay = optimizer.weight_decay;
    if (group[i] == nullptr) continue;
    groups[i].rate = group[i]->absolute ? group[i]->lr / optimizer.lr : group[i]->lr;
    if (decays && group[i]->weight_decay) groups[i].decay = *group[i]->weight_decay;
  }
  return groups;
}

}  // namespace convoy
