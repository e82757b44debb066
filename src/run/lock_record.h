// The content of a lock file: its owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "comm/process_identity.h"

namespace convoy {

struct LockRecord {
  std::string host;
  std::int64_t pid = 0;
  std::uint64_t process_start = 0;       ///< ticks since boot
  ProcessPlace place;                    ///< where the pid means this process
  std::string since;                     ///< when it was taken, for people
  std::chrono::milliseconds refresh{0};  ///< how often the owner renews the file's time
  std::string token;                     ///< 16 random hexadecimal digits: of this lock alone
};

/// Of this process, with a new token.
LockRecord own_lock_record(const std::string& host, std::chrono::milliseconds refresh);
/// Lines `key: value`, for people too.
std::string to_text(const LockRecord& record);
/// Nothing where a line is missing, or a number is out of its range.
std::optional<LockRecord> lock_record_in(const std::string& text);
/// Whether the owner lives. `unknown` for a process of another host or container.
ProcessState state_of(const LockRecord& record);
/// "process 17 on host a, since 2026-01-31 12:00:00 UTC"
std::string describe(const LockRecord& record);

/// A lock file as it was read. If two readings differ, the owner has renewed it in between.
struct LockFile {
  std::string text;
  std::uint64_t inode = 0;
  std::int64_t seconds = 0, nanoseconds = 0;  ///< when it was last renewed, by the clock of its disk
  bool operator==(const LockFile&) const = default;
};
/// Nothing if there is no file. Throws Error if it is not a regular file or cannot be read.
std::optional<LockFile> read_lock_file(const std::filesystem::path& path);
/// False if the file exists already. Throws Error if it cannot be created.
bool make_lock_file(const std::filesystem::path& path, const std::string& text);
/// Sets the file's time to now if its text is `text` or no record at all. False if it has another owner's
/// record; true if it cannot be read.
bool renew_lock_file(const std::filesystem::path& path, const std::string& text);

}  // namespace convoy
