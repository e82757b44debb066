// What a data set holds, for people: counts, statistics, pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/dataset.h"

namespace convoy {

struct DataSummary {
  std::vector<std::int64_t> train, validation;  ///< images of each class
  /// Per channel of all training images' pixels in [0, 1], as data.normalize takes them; std is the root of
  /// the mean squared distance from the mean.
  std::vector<double> mean, std;
};
DataSummary summarize(const Dataset& data);

/// pixels (height,width,channels), rows from the top; 1 channel is gray, 3 are red, green and blue.
struct Picture {
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};
/// The first `columns` training images of each class, a row per class on a white ground; large ones are
/// shrunk to at most 96 pixels a side, of volumes the middle slice is shown, of images with 2 or more than 3
/// channels the first.
Picture contact_sheet(const Dataset& data, int columns);

}  // namespace convoy
