// Hashes of tensors, for telling whether ranks that should hold the same values do.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "core/hash.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

constexpr std::int64_t hash_words = 2;

/// hash = sum over i of hash_term(i, bits of values[i]) modulo 2^64 (core/hash.h): integers, whose sum no
/// order changes, so that all engines agree on it bit for bit where they store values in the same type.
struct ParameterHash {
  static constexpr const char* name = "parameter_hash";
  Tensor values;  ///< in the real type
  Tensor hash;    ///< (hash_words) i32: its lower and its upper word
  std::int64_t flops() const { return 0; }
  std::string describe() const { return fmt::format("count={}", values.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.values), v.writes(call.hash);
  }
};

/// The bits of a value, as hash_term() takes them.
inline std::uint64_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline std::uint64_t bits_of(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
/// A hash as its two words.
inline void store_hash(std::int32_t* words, std::uint64_t hash) {
  std::memcpy(words, &hash, sizeof hash);
}

CONVOY_LAUNCHERS(ParameterHash);

}  // namespace convoy
