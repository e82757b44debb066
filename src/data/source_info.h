// What is known of a data set before its files are read.
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

/// Of pictures, which nothing but their folder or packed file tells.
SourceInfo streamed_info(const DataConfig& config);

/// Whether images that the source sets apart for a test are a test part of their own.
inline bool keeps_test(const DataConfig& config) {
  return config.validation_fraction > 0 && config.test == DataConfig::Test::automatic;
}

inline SourceInfo source_info(const DataConfig& config) {
  const auto with_test = [&](const FeatureShape& image, int classes, int train, int test) {
    const bool validates = config.validation_fraction == 0;
    return SourceInfo{image, classes, train, validates ? test : 0, keeps_test(config) ? test : 0};
  };
  switch (config.source) {
    case Source::digits:
    case Source::mnist:
    case Source::fashion_mnist:
      return with_test({1, 28, 28, 1}, 10, 60000, 10000);
    case Source::cifar10:
      return with_test({1, 32, 32, 3}, 10, 50000, 10000);
    case Source::cifar100:
      return with_test({1, 32, 32, 3}, 100, 50000, 10000);
    case Source::synthetic: {
      const SyntheticConfig& made = config.synthetic;
      return with_test(feature_shape(made.image), made.classes, made.train, made.test);
    }
    case Source::folder:
    case Source::packed:
      return streamed_info(config);
  }
  return {};
}

}  // namespace convoy
