// Which images a rank sees when: order of an epoch, batches, shards, the validation split.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "src/data/dataset.h"
#include "tests/data/support.h"

namespace convoy::testing {
namespace {

std::vector<std::int32_t> first_ids(int count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(EpochOrder, IsAPermutationThatDependsOnSeedAndEpochOnly) {
  const auto ids = first_ids(1000);
  const auto order = epoch_order(ids, 7, 3);
  EXPECT_NE(order, ids);
  EXPECT_EQ(order, epoch_order(ids, 7, 3));
  EXPECT_NE(order, epoch_order(ids, 7, 4));
  EXPECT_NE(order, epoch_order(ids, 8, 3));
  EXPECT_NE(order, epoch_order(ids, 7 + (std::uint64_t{1} << 32), 3)) << "the seed's upper half counts";
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, ids);
}

TEST(EpochOrder, PutsEveryIdEverywhere) {
  // 6 ids, 6000 epochs: every (id, position) comes 1000 times on average, deviation 29.
  constexpr int n = 6, epochs = 6000;
  int seen[n][n] = {};
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto order = epoch_order(first_ids(n), 1, epoch);
    for (int i = 0; i < n; ++i) ++seen[order[static_cast<std::size_t>(i)]][i];
  }
  for (const auto& row : seen) {
    for (const int count : row) EXPECT_NEAR(count, epochs / n, 150);
  }
}

TEST(EpochOrder, TakesNoneAndOne) {
  EXPECT_TRUE(epoch_order({}, 1, 0).empty());
  EXPECT_EQ(epoch_order({5}, 1, 0), std::vector<std::int32_t>{5});
}

TEST(Batches, CoverThePassWithAShortLastOne) {
  EXPECT_EQ(batches_of(10, 4, false), (std::vector<Range>{{0, 4}, {4, 4}, {8, 2}}));
  EXPECT_EQ(batches_of(10, 4, true), (std::vector<Range>{{0, 4}, {4, 4}}));
  EXPECT_EQ(batches_of(8, 4, false), (std::vector<Range>{{0, 4}, {4, 4}}));
  EXPECT_EQ(batches_of(8, 4, true), (std::vector<Range>{{0, 4}, {4, 4}}));
}

TEST(Batches, LargerThanTheDataSet) {
  EXPECT_EQ(batches_of(3, 8, false), (std::vector<Range>{{0, 3}}));
  EXPECT_TRUE(batches_of(3, 8, true).empty());
  EXPECT_TRUE(batches_of(0, 8, false).empty());
  EXPECT_EQ(batches_of(INT32_MAX, INT32_MAX, false), (std::vector<Range>{{0, INT32_MAX}}));
  EXPECT_EQ(batches_of(INT32_MAX, INT32_MAX - 1, false),
            (std::vector<Range>{{0, INT32_MAX - 1}, {INT32_MAX - 1, 1}}));
}

TEST(Shards, CoverEveryBatchOnceInOrder) {
  for (int ranks = 1; ranks <= 7; ++ranks) {
    for (const int n : {0, 1, 2, 5, 6, 7, 8, 64, 100, INT32_MAX}) {
      int next = 0, least = n, most = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const Shard shard = shard_of(n, rank, ranks);
        EXPECT_EQ(shard.first, next) << n << " images, rank " << rank << " of " << ranks;
        next += shard.count;
        least = std::min(least, shard.count), most = std::max(most, shard.count);
      }
      EXPECT_EQ(next, n);
      EXPECT_LE(most - least, 1);
      EXPECT_EQ(shard_of(n, 0, ranks).count, most) << "rank 0 sizes the staging memory";
    }
  }
}

TEST(Shards, LeaveTheLastRanksWithoutImages) {
  EXPECT_EQ(shard_of(2, 1, 4), (Shard{1, 1}));
  EXPECT_EQ(shard_of(2, 2, 4), (Shard{2, 0}));
  EXPECT_EQ(shard_of(2, 3, 4), (Shard{2, 0}));
}

// 200 training images of one pixel and no test files, which a fraction has no use for.
class Validation : public ::testing::Test {
 protected:
  Validation() : config(data_config(Source::mnist, folder.path())) {
    config.test = DataConfig::Test::none;
    folder.write("train-images-idx3-ubyte", idx_images(200, 1, 1, 0));
    folder.write("train-labels-idx1-ubyte", idx_labels(Bytes(200, 3)));
  }
  TemporaryFolder folder;
  DataConfig config;
};

TEST_F(Validation, AFractionIsSplitOffByTheSeed) {
  config.validation_fraction = 0.1;
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(data.validation.size(), 20u);
  EXPECT_EQ(data.train.size(), 180u);
  auto all = data.train;
  all.insert(all.end(), data.validation.begin(), data.validation.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, first_ids(200)) << "the two parts are disjoint and complete";
  EXPECT_EQ(load_dataset(config, 1).validation, data.validation);
  EXPECT_NE(load_dataset(config, 2).validation, data.validation);
}

TEST_F(Validation, AFractionThatLeavesNothingIsRefused) {
  config.mark = {std::make_shared<const std::string>("a.yaml"), 4};
  for (const double fraction : {1e-3, 1 - 1e-3}) {
    config.validation_fraction = fraction;
    expect_contains(message_of([&] { load_dataset(config, 1); }, ExitCode::usage),
                    {"a.yaml:4", "data.validation", "200"});
  }
}

}  // namespace
}  // namespace convoy::testing
