// Ranks that are not alike are found out before they train.
#include "src/session/rank_checks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "comm/agree.h"
#include "core/hash.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

TEST(Hash, DependsOnEveryByteAndTheirOrder) {
  const std::string text = "nineteen characters";
  EXPECT_EQ(hash_of(text), hash_of(std::string(text)));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    EXPECT_NE(hash_of(other), hash_of(text)) << i;
    EXPECT_NE(hash_of(text.substr(0, i)), hash_of(text)) << i;
  }
  const std::string two_words = "firstwrdsecondwd";
  EXPECT_NE(hash_of(two_words), hash_of(two_words.substr(8) + two_words.substr(0, 8)));
  EXPECT_NE(hash_of(std::string(8, '\0')), hash_of(std::string(9, '\0'))) << "the number of zeros counts";
}

TEST(RankChecks, SharedMemoryIsAskedForWhereGpusShareAHost) {
  EXPECT_EQ(shared_memory_problem(std::int64_t{64} << 20, 1), "");
  EXPECT_EQ(shared_memory_problem(std::int64_t{1} << 30, 8), "");
  const std::string problem = shared_memory_problem(std::int64_t{64} << 20, 2);
  EXPECT_NE(problem.find("64.0 MiB free in /dev/shm"), std::string::npos) << problem;
  EXPECT_NE(problem.find("--shm-size"), std::string::npos) << problem;
}

class DistributedRankChecks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
  }
  static bool is_last() { return ranks().rank() == ranks().size() - 1; }
  /// What require_same_data() says when the last rank's data is altered.
  template <class Alter>
  static std::string said_of(Alter alter) {
    Dataset data = tiny_data(17, 5);
    if (is_last()) alter(data);
    try {
      require_same_data(data, ranks());
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.rank(), ranks().size() - 1);
      return error.what();
    }
    return {};
  }
};

TEST_F(DistributedRankChecks, DataIsTheSameEverywhere) {
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos &&
           text.find(fmt::format("rank {} (host", ranks().size() - 1)) != std::string::npos;
  };
  EXPECT_EQ(said_of([](Dataset&) {}), "");
  EXPECT_TRUE(says(said_of([](Dataset& d) { d.classes = 4; }), "data sets' classes differ"));
  EXPECT_TRUE(says(said_of([](Dataset& d) { d.labels[3] ^= 1; }), "data sets' labels differ"));
  EXPECT_TRUE(says(said_of([](Dataset& d) { d.images.back() ^= 1; }), "data sets' images differ"));
  EXPECT_TRUE(says(said_of([](Dataset& d) { std::swap(d.train[0], d.train[1]); }), "images are for differ"));
}

TEST_F(DistributedRankChecks, ConfigurationsAreTheSameButForTheDatasPath) {
  Config config = tiny_config();
  config.data.path = fmt::format("/scratch/{}", ranks().rank());
  require_same_config(config, ranks());
  if (is_last()) config.optimizer.lr *= 2;
  EXPECT_THROW(require_same_config(config, ranks()), AgreedError);
}

TEST(RankChecks, DevicesAreNotShared) {
  require_distinct_devices(std::vector<std::string>(4));  // host memory has none
  require_distinct_devices({"GPU-a", "GPU-b", "", "GPU-c"});
  try {
    require_distinct_devices({"GPU-a", "GPU-b", "GPU-c", "GPU-b"});
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_NE(std::string(error.what()).find("ranks 1 and 3 share the device GPU-b"), std::string::npos);
  }
}

TEST_F(DistributedRankChecks, AMapNamesEveryRank) {
  const std::unique_ptr<Engine> engine = make_engine(EngineKind::reference_f32, ranks());
  const std::string map = map_of_ranks(*engine, ranks());
  EXPECT_EQ(std::count(map.begin(), map.end(), '\n'), ranks().size() - 1) << map;
  for (int rank = 0; rank < ranks().size(); ++rank)
    EXPECT_NE(map.find(fmt::format("rank {} on {}: sequential reference", rank, ranks().host())),
              std::string::npos);
  EXPECT_NE(map.find("cores "), std::string::npos);
}

class DistributedTestSum : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
};

TEST_P(DistributedTestSum, IsTimedAndChecked) {
  const std::unique_ptr<Engine> engine = make_engine(GetParam(), ranks());
  EXPECT_GT(time_test_sum(*engine, 1 << 16, ranks()), 1e4);
}

INSTANTIATE_TEST_SUITE_P(Engines, DistributedTestSum,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
