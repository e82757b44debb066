// Layers with `out: classes`: as many outputs as the data set has classes.
#pragma once

#include "src/config/config.h"

namespace convoy {

/// Whether a layer of the model's own list, blocks aside, says `classes`.
bool wants_classes(const ModelConfig& model);

/// Writes the number for the word.
void fill_in_classes(ModelConfig& model, int classes);

}  // namespace convoy
