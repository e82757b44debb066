// What differs between ranks is found, and the right ranks are named.
#include "comm/same.h"

#include <gtest/gtest.h>

#include "comm/agree.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

TEST(Same, OfManyTheOddOnesAreNamed) {
  EXPECT_EQ(odd_ones_out({"a", "a", "a"}), std::vector<int>{});
  EXPECT_EQ(odd_ones_out({"a", "b"}), std::vector<int>{1});
  EXPECT_EQ(odd_ones_out({"a", "b", "b"}), std::vector<int>{0});
  EXPECT_EQ(odd_ones_out({"b", "c", "a", "b"}), (std::vector<int>{1, 2}));
  const std::vector<std::string> hosts = {"one", "two", "three", "four", "five", "six", "seven", "eight"};
  EXPECT_EQ(difference({"a", "a"}, hosts), "");
  EXPECT_EQ(difference({"a", "b"}, hosts), "rank 1 (host two) has b, rank 0 (host one) has a");
  EXPECT_EQ(difference({"a", "b", "b"}, hosts), "rank 0 (host one) has a, the others have b");
  EXPECT_EQ(difference({"a", "b", "c", "d", "e", "f", "a"}, hosts),
            "rank 1 (host two) has b, rank 2 (host three) has c, rank 3 (host four) has d, rank 4 (host "
            "five) has e, "
            "1 more have others, the others have a");
}

TEST(DistributedSame, IsRequiredOfEveryRank) {
  if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
  require_same(ranks(), "versions", "1.0");
  const int last = ranks().size() - 1;
  try {
    require_same(ranks(), "versions", ranks().rank() == last ? "1.1, a longer one" : "1.0");
    FAIL() << "all ranks throw";
  } catch (const AgreedError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find(fmt::format("versions differ: rank {} (host ", last)), 0u) << text;
    EXPECT_NE(text.find("has 1.1, a longer one"), std::string::npos) << text;
    EXPECT_EQ(error.rank(), last);
    EXPECT_EQ(error.host(), ranks().host());
  }
  EXPECT_EQ(ranks().gather(fmt::format("of {}", ranks().rank())).back(), fmt::format("of {}", last));
}

}  // namespace
}  // namespace convoy::testing
