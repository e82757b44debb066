// What a configuration leaves to the files at data.path: which data set they are, and what to validate on.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/config/value.h"

namespace convoy {

/// What lies at a path.
struct FoundData {
  Source source{};
  std::string path;        ///< where exactly: the given one, or a folder below
  bool sets_apart = true;  ///< whether it has images apart from those to train on
};

/// Looks at data.path; `source` is data.source where the configuration has it (src/data/recognise.h). Throws
/// Error where it does not know what is there.
using FindData = std::function<FoundData(const std::string& path, const std::optional<std::string>& source)>;

/// Fills in what `root` does not say of a data set that has a path: data.source, and a share for
/// data.validation where the files set nothing apart. Adds a sentence to `notes` that says so. Throws Error
/// (exit code 2).
void fill_in_data(Value& root, const FindData& find, std::vector<std::string>& notes);

}  // namespace convoy
