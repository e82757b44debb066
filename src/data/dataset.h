// Labelled images, in memory or made when they are needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/range.h"
#include "core/shape.h"
#include "src/config/config.h"
#include "src/data/image_source.h"

namespace convoy {

/// Images that are measured on.
enum class Part { validation, test };

/// All samples of a data set, and which of them are for what.
struct Dataset {
  FeatureShape image;  ///< D, H, W, C of one sample
  int classes = 0;
  std::vector<std::string> class_names;         ///< (classes), or none where they have no names
  std::vector<std::uint8_t> images;             ///< (samples,D,H,W,C); none with a source
  std::shared_ptr<const ImageSource> source;    ///< makes images one by one; null: they are in `images`
  std::vector<std::int32_t> labels;             ///< (samples), in [0, classes)
  std::vector<std::int32_t> train, validation;  ///< sample ids
  std::vector<std::int32_t> test;               ///< sample ids; none where nothing was set apart for a test
  bool validation_is_test = false;              ///< `validation` holds what the source calls its test images
  std::string warning;                          ///< what reading it left out, for people; empty: nothing
};

/// Sample ids of a part.
inline const std::vector<std::int32_t>& ids_of(const Dataset& data, Part part) {
  return part == Part::test ? data.test : data.validation;
}
/// What people call the images that are validated on: "test" or "validation".
inline const char* name_of_validation(const Dataset& data) {
  return data.validation_is_test ? "test" : "validation";
}

/// How many of the samples `ids` each class has: (classes).
std::vector<std::int64_t> count_classes(const Dataset& data, const std::vector<std::int32_t>& ids);

/// Writes the image of a sample, (D,H,W,C), from memory or from the source. Throws Error for one that there
/// is not.
void fetch_image(const Dataset& data, std::int32_t sample, const Occasion& occasion, std::uint8_t* out);

/// Reads (or, for digits and synthetic, makes) the data set. Throws Error (exit code 1) that names the file
/// and the byte offset or record for a missing, truncated or foreign file or a label out of range. A
/// validation fraction is split off the training files by `seed`, of each class its share; the test files are
/// then the test part, or with data.test: none not read.
Dataset load_dataset(const DataConfig& config, std::uint64_t seed);

/// How many of so many training images data.validation sets apart; none where the test files serve.
std::int64_t validation_count(const DataConfig& config, std::int64_t samples);

/// One pass over `samples` images in batches of `global_batch`. The last may be short, or is left out by
/// `drop_last`; no batch at all when nothing is left.
std::vector<Range> batches_of(int samples, int global_batch, bool drop_last);

}  // namespace convoy
