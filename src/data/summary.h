// What a data set holds, for people: counts, statistics, pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/dataset.h"
#include "src/io/picture.h"

namespace convoy {

struct DataSummary {
  std::vector<std::int64_t> train, validation, test;  ///< images of each class
  /// Per channel of all training images' pixels in [0, 1], as data.normalize takes them; std is the root of
  /// the mean squared distance from the mean.
  std::vector<double> mean, std;
};
DataSummary summarize(const Dataset& data);

/// The same mean and std of some samples alone.
struct ChannelStatistics {
  std::vector<double> mean, std;
};
ChannelStatistics channel_statistics(const Dataset& data, const std::vector<std::int32_t>& samples);

/// Images of each class among these samples.
std::vector<std::int64_t> counts_of(const Dataset& data, const std::vector<std::int32_t>& samples);

/// The first `columns` training images of each class, a row per class on a white ground, its name in front;
/// large ones are shrunk to at most 96 pixels a side, of volumes the middle slice is shown, of images with 2
/// or more than 3 channels the first. `names`: of the classes, or none: then numbers.
Picture contact_sheet(const Dataset& data, int columns, const std::vector<std::string>& names);

}  // namespace convoy
