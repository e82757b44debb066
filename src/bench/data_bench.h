// `convoy bench data`: how fast a data set's images can be made ready for a network.
#pragma once

#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/config/config.h"

namespace convoy {

struct DataFigures {
  double images_per_second = 0;  ///< of all ranks, median of the rounds
  std::vector<double> rounds;    ///< of each
  int threads = 0;               ///< per rank
  std::int64_t images = 0;       ///< measured, over all ranks
  std::int64_t image_bytes = 0;  ///< of one as it is staged
};

/// Stages the training batches of one epoch after the other, as training would, and throws them away; no
/// network is run. `threads`: per rank; 0: one per core that it may use. `seconds`: about how long to
/// measure, in rounds of about a second after one that is not counted. Collective.
DataFigures bench_data(const Config& config, const RankEnvironment& ranks, double seconds, int threads);

}  // namespace convoy
