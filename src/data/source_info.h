// What is known of a data set before its images are read.
#pragma once

#include "core/shape.h"
#include "src/config/config.h"

namespace convoy {

struct SourceInfo {
  FeatureShape image;
  int classes;
  /// Samples in the usual files, or made; a share that data.validation sets apart is still among `train`.
  int train, validation, test;
};

/// Of folders and packed files, which alone know it, the folder is listed and the header is read.
SourceInfo source_info(const DataConfig& config);

}  // namespace convoy
