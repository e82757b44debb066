// What is known of a data set before its files are read.
#pragma once

#include "src/config/config.h"
#include "src/core/shape.h"

namespace convoy {

struct SourceInfo {
  FeatureShape image;
  int classes;
  int train, test;  ///< samples in the usual files, or made
};

/// Of pictures, which nothing but their folder or packed file tells.
SourceInfo streamed_info(const DataConfig& config);

inline SourceInfo source_info(const DataConfig& config) {
  switch (config.source) {
    case Source::digits:
    case Source::mnist:
    case Source::fashion_mnist:
      return {{1, 28, 28, 1}, 10, 60000, 10000};
    case Source::cifar10:
      return {{1, 32, 32, 3}, 10, 50000, 10000};
    case Source::cifar100:
      return {{1, 32, 32, 3}, 100, 50000, 10000};
    case Source::synthetic: {
      const SyntheticConfig& made = config.synthetic;
      return {feature_shape(made.image), made.classes, made.train, made.test};
    }
    case Source::folder:
    case Source::packed:
      return streamed_info(config);
  }
  return {};
}

}  // namespace convoy
