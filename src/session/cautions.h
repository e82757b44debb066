// Configurations that are valid but mostly a mistake.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"
#include "src/session/plan_set.h"

namespace convoy {

struct Caution {
  const char* topic;  ///< a word for the column of `convoy check`
  std::string text;   ///< a sentence that says what to do
};

/// Epochs of one step; a warm-up that is shortened; test images that choose among epochs
/// (`validation_is_test`: Dataset's).
std::vector<Caution> cautions(const Config& config, const SampleCounts& counts, bool validation_is_test);

}  // namespace convoy
