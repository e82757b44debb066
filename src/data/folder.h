// Folders of pictures: PATH/train/CLASS/* and PATH/val/CLASS/*.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/data/dataset.h"

namespace convoy {

/// The pictures in such folders: classes by name, pictures of a class by name, those to train on first.
struct FolderListing {
  std::filesystem::path path;
  std::vector<std::string> classes;
  std::vector<std::string> files;  ///< (samples): "train/cat/1.jpg"
  std::vector<std::int32_t> labels;
  std::int32_t train = 0;  ///< so many samples are in train/
  std::string warning;     ///< of files that are no pictures; empty: none

  std::filesystem::path file(std::int32_t sample) const {
    return path / files[static_cast<std::size_t>(sample)];
  }
};

/// Lists them; opens none. Only names that end in .jpg, .jpeg or .png (any case) count, and none that begin
/// with a dot. Where `validation` is false val/ is neither read nor needed. Throws Error (exit code 1) that
/// names a folder that is missing, a class without pictures, and classes that train/ and val/ do not share.
FolderListing list_folder(const std::filesystem::path& path, bool validation);

/// Their data set: pictures are decoded when a batch needs them. A picture that cannot be decoded is replaced
/// by the next good one of its class that serves the same purpose, up to `config.max_bad`; one more is an
/// error that names it.
Dataset read_folder(const DataConfig& config, std::uint64_t seed);

}  // namespace convoy
