// Files as memory that the system reads when it is looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace convoy {

/// A whole file, to be read. Every process that maps it shares one copy in memory.
class MappedFile {
 public:
  /// Throws Error that names the file and the system's reason.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace convoy
