// Whether a process is still at work on a file.
#pragma once

#include <filesystem>

#include "core/file_descriptor.h"

namespace convoy {

/// Marks a file that is there as in use, until the descriptor is closed or the process ends. None
/// where it cannot be opened or its file system has no locks.
FileDescriptor mark_in_use(const std::filesystem::path& path);

/// Whether a process on any host that sees the file has it marked. False where nobody can tell.
bool is_in_use(const std::filesystem::path& path);

/// Locks an open file for its descriptor alone, against all others that ask in the same way, until it is
/// closed or the process ends. False with errno EAGAIN where another has it, with another one where there are
/// no locks.
bool lock_alone(const FileDescriptor& file);

}  // namespace convoy
