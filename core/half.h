// The 16-bit floating-point types that activations and compute weights may be stored in. Arithmetic is done
// in float.
#pragma once

#include <bit>
#include <cstdint>

namespace convoy {

/// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa; 6e-8 … 65504.
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  /// Rounds to nearest, ties to even.
  explicit Half(float value) : bits(round(value)) {}
  explicit operator float() const {
    const std::uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    // As a float with the same fields the value is 2^112 too small; the product also normalises subnormals.
    return std::bit_cast<float>(
        sign | std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f));
  }

 private:
  static std::uint16_t round(float value) {
    const auto all = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = all >> 16 & 0x8000u, magnitude = all & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);  // NaN
    if (magnitude >= 0x477ff000u)
      return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to 2^16 or more
    if (magnitude < 0x38800000u) {
      // Below 2^-14: adding 1/2 leaves the value, in units of 2^-24 rounded to even, in the lowest bits.
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
    }
    const std::uint32_t odd = magnitude >> 13 & 1u;
    return static_cast<std::uint16_t>(sign | ((magnitude + 0xfffu + odd - (112u << 23)) >> 13));
  }
};

/// The upper half of a float: 8 bits of exponent, 7 of mantissa.
struct BFloat16 {
  std::uint16_t bits = 0;
  BFloat16() = default;
  /// Rounds to nearest, ties to even.
  explicit BFloat16(float value) {
    const auto all = std::bit_cast<std::uint32_t>(value);
    const bool nan = (all & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>((nan ? all | 0x400000u : all + 0x7fffu + (all >> 16 & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

}  // namespace convoy
