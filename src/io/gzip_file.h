// Files that may be compressed by gzip, read front to back.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace convoy {

/// The content of a regular file, unpacked where it is gzipped.
class GzipFile {
 public:
  /// Throws Error that names the file and the reason.
  explicit GzipFile(std::filesystem::path path);

  /// Reads up to all of `bytes` and returns their number: 0 at the end, or where problem() says why no more
  /// can be unpacked.
  std::size_t read(std::span<std::uint8_t> bytes);
  /// What is wrong with what was read last, such as a checksum, or a stream that stops early; empty: nothing.
  std::string problem() const;
  const std::filesystem::path& path() const { return path_; }
  /// Of the file as it is stored, in bytes.
  std::uint64_t stored_size() const { return stored_size_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::uint64_t stored_size_ = 0;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace convoy
