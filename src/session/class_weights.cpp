#include "src/session/class_weights.h"

#include <algorithm>

namespace convoy {

std::vector<double> class_weights(const ClassWeights& config, const Dataset& data, int scores) {
  std::vector<double> weights(static_cast<std::size_t>(scores), 1.0);
  std::copy(config.values.begin(), config.values.end(), weights.begin());
  if (!config.balanced) return weights;
  const std::vector<std::int64_t> counts = count_classes(data, data.train);
  const auto classes = counts.size() - static_cast<std::size_t>(std::count(counts.begin(), counts.end(), 0));
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] > 0)
      weights[c] = static_cast<double>(data.train.size()) / static_cast<double>(classes) /
                   static_cast<double>(counts[c]);
  return weights;
}

}  // namespace convoy
