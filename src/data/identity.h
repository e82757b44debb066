// What tells one data set from another. Checkpoints keep it, so that a run does not go on with other data
// unnoticed.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "src/data/dataset.h"

namespace convoy {

/// The images of one part: to train on, to validate on, or to test on.
struct PartIdentity {
  std::int64_t images = 0;
  std::optional<std::uint64_t> contents;  ///< hash of images and labels; none where they cannot be read
};

struct DataIdentity {
  /// What the hashes are of; those of different kinds say nothing about each other. "made": the parameters
  /// and the seed that images are drawn with; "pixels": every pixel and label; "packed": every label
  /// and the checksum of each image of a packed file; "files": names, and sizes and bytes of a sample
  /// (src/data/folder_contents.h).
  std::string kind;
  std::string image;  ///< shape of the stored images; empty for files of any size
  std::vector<std::string> class_names;
  PartIdentity train, validation, test;
};

/// Of a data set that load_dataset() read with the same arguments. Images in memory are hashed at once, by
/// all cores (about 1 GB/s each). Files are looked at by a thread of its own: the future waits for it.
std::shared_future<DataIdentity> identify(const Dataset& data, const DataConfig& config, std::uint64_t seed);

/// What differs, as a list for people: "class 0 is called b here and a there; ..."; empty where nothing does.
/// `there` is what the checkpoint says, `here` what is at hand. What one of them does not know, or a part
/// that only one of them has read, is not compared.
std::string difference(const DataIdentity& there, const DataIdentity& here);

}  // namespace convoy
