// What data files are, where nobody has written it down.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/config/found_data.h"

namespace convoy {

/// Whether data lies there: a folder or a packed file. Anything else is taken for a configuration.
bool is_data(const std::filesystem::path& path);

/// The section `data` for what lies there, by the names of files: source and path, and a share for validation
/// where nothing is set apart. All but pictures may also lie up to two folders below. Throws Error that says
/// what was looked for.
DataConfig recognise_data(const std::filesystem::path& path);

/// The same for a configuration (FindData). With a source of its own, a path that cannot be looked at is left
/// to whoever loads the data.
FoundData find_data(const std::string& path, const std::optional<std::string>& source);

}  // namespace convoy
