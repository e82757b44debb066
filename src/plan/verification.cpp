// The plan that tells whether ranks hold the same weights.
#include "src/plan/passes.h"

namespace convoy {

Plan verification_plan(const Graph& graph, const Layout& layout) {
  Plan plan;
  plan.name = "verification";
  std::int64_t done = 0;
  const auto hash = [&](const Tensor& values, const std::string& name) {
    plan.steps.push_back(
        {ParameterHash{values, slice(layout.hashes, hash_words * done++, hash_words)}, name});
  };
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    hash(layout.parameters[i], graph.parameters[i].name);
    if (layout.average)
      hash(same_place(layout.parameters[i], layout.average), "average." + graph.parameters[i].name);
  }
  return plan;
}

}  // namespace convoy
