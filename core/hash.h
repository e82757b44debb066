// Hashes for comparing: equal input gives an equal hash on any machine. They are no protection against
// deliberate collisions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "core/host_device.h"

namespace convoy {

/// Each bit of the result depends on all bits of x, and the map is one to one: the finalizer of SplitMix64
/// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
CONVOY_HOST_DEVICE constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// What the element `bits` at place `index` adds to the hash of a sequence. A hash is the plain sum of these
/// modulo 2^64, so that it does not depend on the order in which threads add them up.
CONVOY_HOST_DEVICE constexpr std::uint64_t hash_term(std::uint64_t index, std::uint64_t bits) {
  return mix(mix(bits + 0x9E3779B97F4A7C15u) + index);
}

/// Of the bytes and their number.
inline std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t sum = hash_term(~std::uint64_t{0}, bytes.size());
  const std::size_t words = bytes.size() / sizeof(std::uint64_t);
  for (std::size_t i = 0; i <= words; ++i) {
    std::uint64_t word = 0;
    const std::size_t first = i * sizeof word;
    const std::size_t count = i < words ? sizeof word : bytes.size() - first;
    if (count > 0) std::memcpy(&word, bytes.data() + first, count);
    sum += hash_term(i, word);
  }
  return sum;
}
inline std::uint64_t hash_of(const std::string& text) {
  return hash_of(std::as_bytes(std::span(text)));
}

}  // namespace convoy
