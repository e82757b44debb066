// Files out of a .tar.gz.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace convoy {

/// Writes the members of these names, wherever in the archive (a gzipped tar in the POSIX, GNU or old format)
/// they lie, into `folder` under their last name: all of them, or none. Throws Error for an archive that is
/// damaged, ends early or lacks one of them, and where a file cannot be written.
void unpack_members(const std::filesystem::path& archive, const std::vector<std::string>& names,
                    const std::filesystem::path& folder);

}  // namespace convoy
