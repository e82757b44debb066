// Files under a temporary name until they are whole, and what killed writers leave of them.
#pragma once

#include <filesystem>
#include <string>

#include "core/file_descriptor.h"

namespace convoy {

/// Open for writing, and locked as long as it is open: the sign of a living writer.
struct UnfinishedFile {
  std::filesystem::path path;
  FileDescriptor file;
};

/// Makes FINAL.XXXXXXXX.tmp with eight random hexadecimal digits, which nobody else has: no link is followed.
/// Throws Error.
UnfinishedFile create_unfinished(const std::filesystem::path& final);

/// Removes from a folder the files of such names that no living process writes: those of `final_name`, or all
/// where it is empty. A file whose writer may live stays, as does one that cannot be locked. Never throws.
void remove_abandoned(const std::filesystem::path& folder, const std::string& final_name = {});

}  // namespace convoy
