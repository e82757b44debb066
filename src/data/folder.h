// Folders of pictures: PATH/train/CLASS/*, PATH/val/CLASS/* and PATH/test/CLASS/*, or all as PATH/CLASS/*.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

namespace convoy {

/// Which folders hold what, by their names within PATH; empty: there is none.
struct FolderLayout {
  bool flat = false;  ///< classes are folders of PATH itself, all to train on
  std::string train, validation, test;
};

/// Looks for train/; for val/, valid/ or validation/; for test/. Without train/ the folder is flat. Throws
/// Error that names a folder that is missing, or that there are two of, and for parts without train/.
FolderLayout folder_layout(const std::filesystem::path& path);

/// The pictures in such folders: classes by name, pictures of a class by name, those to train on first, then
/// those to validate on, then those to test on.
struct FolderListing {
  std::filesystem::path path;
  bool flat = false;  ///< FolderLayout::flat
  std::vector<std::string> classes;
  std::vector<std::string> files;  ///< (samples): "train/cat/1.jpg"
  std::vector<std::int32_t> labels;
  std::int32_t train = 0, validation = 0, test = 0;  ///< samples of each
  std::string warning;  ///< of files that are left out, and of pictures in deeper folders; empty: none

  std::filesystem::path file(std::int32_t sample) const {
    return path / files[static_cast<std::size_t>(sample)];
  }
  /// "1.jpg"
  std::string_view name_in_class(std::int32_t sample) const;
};

/// Lists what `layout` names; opens none. Which files are pictures of a class, find_pictures() says
/// (src/data/picture_files.h). A test folder without classes, as competitions
/// have them, is left out. Throws Error (exit code 1) that names a class without pictures, a folder that
/// cannot be read, and classes that parts do not share.
FolderListing list_folder(const std::filesystem::path& path, const FolderLayout& layout);

/// A listing as data.validation and data.test of the configuration want it.
struct ChosenFolder {
  FolderListing listing;
  bool validation_is_test = false;  ///< what is validated on is the test folder
};
/// Throws Error (exit code 2) where nothing is set apart to validate on.
ChosenFolder choose_folder(const DataConfig& config);

}  // namespace convoy
