#include "src/session/cautions.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

namespace convoy {

std::vector<Caution> cautions(const Config& config, const SampleCounts& counts, bool validation_is_test) {
  std::vector<Caution> found;
  const int batch = config.train.global_batch;
  if (counts.train > 1 && counts.train <= batch) {
    // About ten steps.
    const unsigned suggested = std::bit_floor(static_cast<unsigned>(std::max(counts.train / 8, 1)));
    found.push_back(
        {"steps", fmt::format("1 step per epoch: {} images, global_batch {}; with train.global_batch: {} "
                              "weights change more often (make optimizer.lr smaller as well)",
                              counts.train, batch, suggested)});
  }
  std::vector<const char*> steered;
  if (config.train.early_stop) steered.push_back("train.early_stop");
  if (config.checkpoint.best) steered.push_back("checkpoint.best");
  if (validation_is_test && !steered.empty()) {
    found.push_back(
        {"validation",
         fmt::format(
             "{} choose{} by the test images, so that test accuracy no longer predicts the accuracy on "
             "new images; data.validation: 0.1 sets other images apart for this",
             fmt::join(steered, " and "), steered.size() == 1 ? "s" : "")});
  }
  return found;
}

}  // namespace convoy
