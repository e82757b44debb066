// Files that are either whole or absent, also after a kill or a power cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "src/io/unfinished_file.h"

namespace convoy {

/// A file that is written piece by piece under a temporary name that no other writer has (unfinished_file.h).
/// It replaces a regular file or nothing; of a symbolic link, the file that it leads to. Names that stand for
/// open files of the process, such as /dev/stdout, are refused: there the file would be replaced that the
/// shell has opened, and what commands print goes there too. Every function throws Error naming the file and
/// the system's reason. What was not committed is removed; by the next writer of the name, where this one was
/// killed.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Replaces bytes that were written already.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  /// fsync, rename, fsync of the folder.
  void commit();

 private:
  std::filesystem::path path_;
  UnfinishedFile unfinished_;
  bool renamed_ = false;
};

/// The same in one go.
void write_file_atomically(const std::filesystem::path& path, const std::string& bytes);

/// Whether to wait until what is written is on the disk.
enum class Sync { no, yes };

/// Adds to the end of a regular file, made if need be. Returns how long it is then. Throws Error; the file is
/// then as long as it was.
std::uint64_t append_to_file(const std::filesystem::path& path, const std::string& bytes,
                             Sync sync = Sync::yes);

}  // namespace convoy
