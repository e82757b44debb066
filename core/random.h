// Counter-based random numbers: a value is a function of (seed, purpose, counter) alone.
//
// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace convoy {

/// What a random number is for; part of the key, so that streams never meet.
enum class Purpose : std::uint32_t {
  shuffle = 1,
  augment = 2,
  dropout = 3,
  initialize = 4,
  digits = 5,
  split = 6,
  synthetic = 7,
  color = 8,
  erase = 9,
  blend = 10,
  resized_crop = 11,
  retouch = 12,
  shapes = 20
};

struct Random4 {
  std::uint32_t v[4];
};

/// Four 32-bit words for counter (c0,c1,c2,c3) and key (k0,k1).
CONVOY_HOST_DEVICE inline Random4 philox(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2,
                                         std::uint32_t c3, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Four words for the 64-bit `index` and the 32-bit `stream` (an epoch, a layer) of one purpose under one
/// seed.
CONVOY_HOST_DEVICE inline Random4 random4(std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                                          std::uint64_t index) {
  return philox(static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream,
                static_cast<std::uint32_t>(purpose), static_cast<std::uint32_t>(seed),
                static_cast<std::uint32_t>(seed >> 32));
}

/// Uniform in [0, 1) with 24 bits.
CONVOY_HOST_DEVICE inline float uniform01(std::uint32_t word) {
  return static_cast<float>(word >> 8) * (1.0f / 16777216.0f);
}

/// Uniform in [0, bound), bound >= 1, by the high half of a 32×32 product (bias below bound / 2^32).
CONVOY_HOST_DEVICE inline std::uint32_t uniform_below(std::uint32_t word, std::uint32_t bound) {
  return static_cast<std::uint32_t>((std::uint64_t{word} * bound) >> 32);
}

}  // namespace convoy
