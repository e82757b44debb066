// The generator against the vectors its authors published, and what is derived from its words.
#include "core/random.h"

#include <gtest/gtest.h>

#include <vector>

namespace convoy::testing {
namespace {

std::vector<std::uint32_t> words(const Random4& random) {
  return {random.v, random.v + 4};
}

// Random123 1.14.0, tests/kat_vectors, "philox4x32 10": the last takes its inputs from the digits of pi.
TEST(Random, GivesThePublishedVectorsOfPhilox) {
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(words(philox(0, 0, 0, 0, 0, 0)),
            (std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(philox(ones, ones, ones, ones, ones, ones)),
            (std::vector<std::uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0)),
            (std::vector<std::uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, EveryPartOfTheKeyCounts) {
  constexpr std::uint64_t high = std::uint64_t{1} << 32;
  const std::vector<std::vector<std::uint32_t>> all = {
      words(random4(5, Purpose::shuffle, 7, 9)),        words(random4(6, Purpose::shuffle, 7, 9)),
      words(random4(5 + high, Purpose::shuffle, 7, 9)), words(random4(5, Purpose::augment, 7, 9)),
      words(random4(5, Purpose::shuffle, 8, 9)),        words(random4(5, Purpose::shuffle, 7, 10)),
      words(random4(5, Purpose::shuffle, 7, 9 + high))};
  for (std::size_t a = 0; a < all.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_NE(all[a], all[b]) << a << " and " << b;
  }
}

TEST(Random, UniformNumbersStayWithinTheirBounds) {
  constexpr std::uint32_t largest = 0xffffffff;
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_LT(uniform01(largest), 1.0f);
  EXPECT_EQ(uniform01(std::uint32_t{1} << 31), 0.5f);
  for (const std::uint32_t bound : {1u, 2u, 10u, 12345u, largest}) {
    EXPECT_EQ(uniform_below(0, bound), 0u);
    EXPECT_EQ(uniform_below(largest, bound), bound - 1);
  }
}

}  // namespace
}  // namespace convoy::testing
