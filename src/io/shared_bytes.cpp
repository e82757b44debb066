#include "src/io/shared_bytes.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "src/core/error.h"
#include "src/io/atomic_file.h"
#include "src/io/mapped_file.h"

namespace convoy {

SharedBytes::SharedBytes(std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  bytes_ = std::as_bytes(std::span(*owner));
  owner_ = owner;
}

SharedBytes::SharedBytes(std::vector<std::byte> bytes) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  bytes_ = *owner;
  owner_ = owner;
}

SharedBytes SharedBytes::part(std::size_t offset, std::size_t size) const {
  check(offset <= bytes_.size() && size <= bytes_.size() - offset, "a part lies within the whole");
  SharedBytes part;
  part.owner_ = owner_;
  part.bytes_ = bytes_.subspan(offset, size);
  return part;
}

bool operator==(const SharedBytes& a, const SharedBytes& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

SharedBytes map_file(const std::filesystem::path& path) {
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path)) return read_file(path);
  const auto file = std::make_shared<const MappedFile>(path);
  SharedBytes bytes;
  bytes.bytes_ = std::as_bytes(file->bytes());
  bytes.owner_ = file;
  // All of it is wanted soon: so that the disk reads ahead of whoever looks at it. Only a hint.
  if (!bytes.empty()) madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_WILLNEED);
  return bytes;
}

}  // namespace convoy
