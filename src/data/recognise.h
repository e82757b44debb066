// What data files are, where nobody has written it down.
#pragma once

#include <filesystem>

#include "src/config/config.h"

namespace convoy {

/// Whether data lies there: a folder or a packed file. Anything else is taken for a configuration.
bool is_data(const std::filesystem::path& path);

/// The section `data` for what lies there, by the names of files: source and path, and a share for validation
/// where nothing is set apart. All but pictures may also lie up to two folders below. Throws Error that says
/// what was looked for.
DataConfig recognise_data(const std::filesystem::path& path);

}  // namespace convoy
