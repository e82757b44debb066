// Files that are read. Every one is opened here: what is no regular file, such as a pipe that nobody writes
// to or a device that never ends, is refused by name instead of being waited for. Bytes are asked for by
// their place and never mapped, so that a file that is cut short meanwhile is an error with its name and not
// the end of the process (SIGBUS).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "core/file_descriptor.h"

namespace convoy {

/// "a file", "a folder", "a pipe", "a socket" or "a device".
const char* kind_of_file(mode_t mode);

/// Opens a regular file to be read, without waiting. Throws Error that names it and the reason.
FileDescriptor open_regular(const std::filesystem::path& path);

/// A regular file, open to be read. Several threads may read at the same time.
class RegularFile {
 public:
  /// Throws Error that names the file and the reason.
  explicit RegularFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// In bytes, when it was opened.
  std::uint64_t size() const { return size_; }
  /// Fills `bytes` from `offset` on. Throws Error where the file ends before or cannot be read.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Reads as much as there is, up to all of `bytes`, and returns its number. Throws Error.
  std::size_t read_up_to(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// The open file itself, at its beginning.
  FileDescriptor release() && { return std::move(file_); }

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
};

/// Far more than any text has that a run writes.
inline constexpr std::uint64_t most_text_bytes = std::uint64_t{1} << 30;

/// The whole of a regular file. Throws Error when it cannot be read or has more than `most` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t most = most_text_bytes);

/// The same for a file that a user names. The shell's pipes, as in `convoy check <(COMMAND)`, are read, too;
/// Error also where one is silent for a minute, or a signal comes meanwhile.
std::string read_named_file(const std::filesystem::path& path, std::uint64_t most = most_text_bytes);

/// Whether that would read from a pipe: what the name stands for is one that the shell has opened.
bool is_shell_pipe(const std::filesystem::path& path);

}  // namespace convoy
