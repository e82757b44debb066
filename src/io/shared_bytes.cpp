#include "src/io/shared_bytes.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

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

SharedBytes read_shared(const RegularFile& file) {
  const std::shared_ptr<std::byte[]> owner(new std::byte[file.size()]);  // not set to zero first
  SharedBytes bytes;
  bytes.bytes_ = {owner.get(), file.size()};
  bytes.owner_ = owner;
  file.read_at(0, {owner.get(), file.size()});
  return bytes;
}

}  // namespace convoy
