// What the fuzz targets share: files for readers that take paths, and an account of the memory a reader asks
// for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace convoy::fuzz {

using Bytes = std::span<const std::uint8_t>;

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A folder in memory, if the system has such a place, that is removed at the process's end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void write(const char* name, Bytes bytes) const;
  /// Several names for one file.
  void link(const char* existing, const char* name) const;

 private:
  std::filesystem::path path_;
};

/// Crashes, as a fuzzer's finding, when more than `limit` bytes more than at the beginning are allocated at
/// any moment of this object's life. One at a time.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t limit);
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
};

/// Crashes, as a fuzzer's finding, unless `condition` holds.
void require(bool condition, const char* what);

/// Reads what an untrusted file says: convoy::Error is what a reader may throw. False when it did.
template <class Work>
bool accepts(Work&& work) {
  try {
    work();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace convoy::fuzz
