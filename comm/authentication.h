// Proofs that a message comes from a rank of this run: HMAC-SHA256 with a key that all ranks have.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace convoy {

using Key = std::array<unsigned char, 32>;
/// What HMAC-SHA256 makes of a key and a message.
using Tag = std::array<unsigned char, 32>;
/// A random number that is used once.
using Nonce = std::array<unsigned char, 32>;

/// 32 bytes from the system's source of random numbers. Throws Error.
std::array<unsigned char, 32> random_bytes();

/// `purpose` keeps tags apart that the same key makes for different uses. Throws Error where libcrypto cannot
/// do it.
Tag tag_of(const Key& key, std::string_view purpose, std::span<const std::byte> message);
template <class Message>
Tag tag_of(const Key& key, std::string_view purpose, const Message& message) {
  static_assert(std::has_unique_object_representations_v<Message>, "padding would be part of the tag");
  return tag_of(key, purpose, std::as_bytes(std::span(&message, 1)));
}

/// Takes the same time wherever the two differ.
bool is_same(const Tag& one, const Tag& other);

}  // namespace convoy
