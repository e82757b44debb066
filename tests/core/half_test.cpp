#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace convoy::testing {
namespace {

/// The value of a 16-bit pattern by the definition: sign, exponent of `exponent_bits`, the rest mantissa.
double value_of(unsigned bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double mantissa = std::ldexp(bits & ((1u << mantissa_bits) - 1), -mantissa_bits);
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa == 0 ? sign * HUGE_VAL : std::numeric_limits<double>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(mantissa, 1 - bias)
                       : sign * std::ldexp(1 + mantissa, exponent - bias);
}

/// Every pattern reads as its value and is what its value rounds to; what lies between two neighbours rounds
/// to the nearer, and in the middle to the even one.
template <class T>
void check_all(int exponent_bits) {
  for (unsigned bits = 0; bits < 0x10000u; ++bits) {
    T stored;
    stored.bits = static_cast<std::uint16_t>(bits);
    const double value = value_of(bits, exponent_bits);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(static_cast<float>(stored))) << bits;
      ASSERT_TRUE(std::isnan(static_cast<float>(T(static_cast<float>(stored))))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<float>(stored), value) << bits;
    ASSERT_EQ(T(static_cast<float>(value)).bits, bits);
    const double next = (bits & 0x7fffu) == 0x7fffu ? value : value_of(bits + 1, exponent_bits);
    if (!std::isfinite(next) || !std::isfinite(value) || next == value) continue;
    const auto middle = static_cast<float>((value + next) / 2);  // exact
    ASSERT_EQ(T(middle).bits, bits % 2 == 0 ? bits : bits + 1) << bits;
    ASSERT_EQ(T(std::nextafter(middle, static_cast<float>(value))).bits, bits);
    ASSERT_EQ(T(std::nextafter(middle, static_cast<float>(next))).bits, bits + 1);
  }
}

TEST(Half, RoundsToNearestEven) {
  check_all<Half>(5);
}
TEST(BFloat16, RoundsToNearestEven) {
  check_all<BFloat16>(8);
}

TEST(Half, OverflowsBeyondTheLastMiddle) {
  EXPECT_EQ(static_cast<float>(Half(std::nextafter(65520.0f, 0.0f))), 65504.0f);
  EXPECT_EQ(static_cast<float>(Half(65520.0f)), HUGE_VALF);
  EXPECT_EQ(static_cast<float>(Half(-1e30f)), -HUGE_VALF);
  EXPECT_EQ(static_cast<float>(Half(HUGE_VALF)), HUGE_VALF);
}

}  // namespace
}  // namespace convoy::testing
