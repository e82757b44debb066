// What a network by name begins with that has weights to begin with, where its configuration is silent.
#pragma once

#include <string>
#include <vector>

#include "src/config/value.h"

namespace convoy {

/// Fills in what `root` does not say of the sections train, optimizer, schedule and, for pictures,
/// data.augment. A section that names its rule keeps to what it says. Adds a sentence to `notes` that lists
/// what was filled in.
void fill_in_fine_tuning(Value& root, std::vector<std::string>& notes);

}  // namespace convoy
