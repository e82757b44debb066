// The factors of classes in the training loss (kernels/loss.h).
#pragma once

#include <vector>

#include "src/config/config.h"
#include "src/data/dataset.h"

namespace convoy {

/// One for each of the `scores` that the network gives. Balanced weights are n / (classes n_c) for n training
/// images, n_c of them of class c, as scikit-learn's compute_class_weight("balanced") has them: each class
/// counts alike, and the mean over the images is 1. Scores of no class, and classes without images, which
/// are not counted, have weight 1.
std::vector<double> class_weights(const ClassWeights& config, const Dataset& data, int scores);

}  // namespace convoy
