// Files that are either whole or absent, also after a kill or a power cut.
#pragma once

#include <filesystem>
#include <string>

namespace convoy {

/// Writes `path` by way of a temporary name: write, fsync, rename, fsync of the folder. Throws Error naming
/// the file and the system's reason; the temporary file is then removed.
void write_file_atomically(const std::filesystem::path& path, const std::string& bytes);

/// The whole file. Throws Error when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace convoy
