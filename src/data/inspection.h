// A look at pictures before training: which are broken, of what formats and sizes they are.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/data/dataset.h"
#include "src/io/image.h"
#include "src/io/image_format.h"

namespace convoy {

/// At most so many samples, of all parts: as many of each class, at even distances among its samples. Of more
/// classes than that, one sample of each of as many classes.
std::vector<std::int32_t> sample_evenly(const Dataset& data, std::size_t most);

/// All samples where there are no more than 512, else 200 by sample_evenly().
std::vector<std::int32_t> samples_to_inspect(const Dataset& data);

/// What pictures have come to, in the order in which they were asked for.
struct PictureReport {
  std::vector<std::string> problems;  ///< of each broken one; the message names the file
  std::array<std::int64_t, image_format_count> formats{};
  std::vector<ImageSize> sizes;  ///< of those that are whole
  /// Per channel of red, green and blue in [0, 1]; every picture counts alike, whatever its size.
  std::array<double, 3> mean{}, std{};

  std::int64_t looked_at() const { return std::ssize(problems) + std::ssize(sizes); }
};

/// Decodes the files of these samples, whole, in `threads` threads. None is begun after `seconds`; 0: all
/// are. Of a data set whose samples have no files of their own nothing is looked at.
PictureReport inspect_pictures(const Dataset& data, std::span<const std::int32_t> samples, int threads,
                               double seconds);

}  // namespace convoy
