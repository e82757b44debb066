// The measured tiles of earlier runs, in one file per device, driver and build.
#pragma once

#include <filesystem>
#include <string>

#include "kernels/conv/cuda/tile_choice.h"

namespace convoy {

class TileCache {
 public:
  /// `identity` names all that timings depend on besides the product. With an empty folder nothing is stored.
  TileCache(const std::filesystem::path& folder, std::string identity);

  /// Empty if the file is absent, damaged or of another identity.
  TileChoices load() const;
  /// Adds these choices to the current content of the file. For a product that both have, these stay. Several
  /// processes may save at once. Throws Error when the file cannot be written.
  void save(const TileChoices& choices) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::string identity_;
};

/// $XDG_CACHE_HOME/convoy, else $HOME/.cache/convoy; empty where neither is an absolute path.
std::filesystem::path user_cache_folder();

}  // namespace convoy
