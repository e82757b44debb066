// Which images a rank sees when: order of an epoch, batches, shards, the validation split.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "src/data/epoch_order.h"
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

/// Samples of classes 0, 1, ... , so many of each, one class after the other.
Dataset of_sizes(const std::vector<int>& sizes) {
  Dataset data;
  data.classes = static_cast<int>(sizes.size());
  for (std::size_t c = 0; c < sizes.size(); ++c)
    data.labels.insert(data.labels.end(), static_cast<std::size_t>(sizes[c]), static_cast<std::int32_t>(c));
  data.train = first_ids(static_cast<int>(data.labels.size()));
  return data;
}

TEST(BalancedOrder, ShowsEveryClassAlike) {
  const Dataset data = of_sizes({50, 0, 3, 1, 200, 7});  // 261 images, 5 classes that have some
  std::vector<int> so_far(6), shown(261);
  for (int epoch = 0; epoch < 12; ++epoch) {
    const auto order = balanced_order(data, 7, epoch);
    ASSERT_EQ(order.size(), 261u);
    std::vector<int> counts(6), of_image(261);
    for (const std::int32_t id : order) {
      const auto label = static_cast<std::size_t>(data.labels[static_cast<std::size_t>(id)]);
      ++counts[label], ++so_far[label], ++of_image[static_cast<std::size_t>(id)],
          ++shown[static_cast<std::size_t>(id)];
    }
    for (const std::size_t label : {0, 2, 3, 4, 5}) {
      EXPECT_NEAR(counts[label], 52.5, 0.5) << "epoch " << epoch << ", class " << label;
      EXPECT_NEAR(so_far[label], (epoch + 1) * 52.2, 1) << "over all epochs, class " << label;
    }
    EXPECT_EQ(counts[1], 0);
    // An image comes again once all others of its class have come: in part of a round, or two parts.
    for (std::size_t id = 50; id < 53; ++id) EXPECT_NEAR(of_image[id], 52 / 3.0, 1.4);
    for (std::size_t id = 54; id < 254; ++id) EXPECT_LE(of_image[id], 2);
  }
  // 626 or so places of the class with 200 images: each comes three times, some once more or less.
  for (std::size_t id = 54; id < 254; ++id) EXPECT_NEAR(shown[id], 3.5, 0.5 + 1) << id;
}

TEST(BalancedOrder, DependsOnSeedAndEpochOnly) {
  const Dataset data = of_sizes({50, 3, 200});
  const auto order = balanced_order(data, 7, 3);
  EXPECT_EQ(order, balanced_order(data, 7, 3));
  EXPECT_NE(order, balanced_order(data, 7, 4));
  EXPECT_NE(order, balanced_order(data, 8, 3));
  const auto of_first_part = [&](const std::vector<std::int32_t>& ids) {
    return std::count_if(ids.begin(), ids.begin() + 100, [&](std::int32_t id) { return id < 50; });
  };
  EXPECT_NEAR(of_first_part(order), 100 / 3.0, 20) << "classes are mixed";
  EXPECT_TRUE(balanced_order(of_sizes({0, 0}), 1, 1).empty());
}

TEST(BalancedOrder, OfEqualClassesShowsEveryImageOnce) {
  auto order = balanced_order(of_sizes({20, 20, 20}), 3, 0);
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, first_ids(60));
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
