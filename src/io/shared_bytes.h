// Bytes that do not change and have several owners, such as a file's content and the tensors in it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/regular_file.h"

namespace convoy {

/// A range of bytes that stays where it is for as long as any copy of this lives.
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::string bytes);
  SharedBytes(std::vector<std::byte> bytes);

  const std::byte* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  operator std::span<const std::byte>() const { return bytes_; }
  /// A part of it, which keeps the whole alive.
  SharedBytes part(std::size_t offset, std::size_t size) const;

  friend SharedBytes read_shared(const RegularFile& file);

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

bool operator==(const SharedBytes& a, const SharedBytes& b);

/// A file's content, read now: whoever changes the file later changes nothing here. Throws Error when it
/// cannot be read, or has become shorter.
SharedBytes read_shared(const RegularFile& file);

}  // namespace convoy
