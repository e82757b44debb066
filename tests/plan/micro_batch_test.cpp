// How a batch is cut into passes and ranks' shards of them, and in which order what they leave is added.
#include "src/plan/micro_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "src/data/dataset.h"

namespace convoy::testing {
namespace {

TrainConfig train_config(int micro_batch, int logical_shards) {
  TrainConfig train;
  train.global_batch = 24;
  train.micro_batch = micro_batch;
  train.reproducible_across_ranks = logical_shards;
  return train;
}

/// With blends, a rank is handed the images of each pass and the one that follows them around the span.
void expect_partners_behind_passes(const TrainConfig& train, int images, int rank, int ranks) {
  Config config;
  config.train = train;
  config.data.mixup = 1;
  int staged = 0;
  for (const MicroBatch& pass : micro_batches(train, images, rank, ranks, true)) {
    EXPECT_EQ(pass.staged, staged);
    if (pass.shard.count == 0) continue;
    staged += pass.shard.count + 1;
    const int end = pass.shard.first + pass.shard.count;
    EXPECT_EQ(pass.after, end == pass.span.first + pass.span.count ? pass.span.first : end);
  }
  EXPECT_EQ(staged, staged_of(config, images, rank, ranks));
  EXPECT_LE(staged, staged_of(config, images, 0, ranks)) << "the first rank is handed the most";
}

class Cut : public ::testing::TestWithParam<std::tuple<int, int, int, int>> {};

TEST_P(Cut, EveryImageIsInOnePassOfOneRank) {
  const auto [images, ranks, micro_batch, shards] = GetParam();
  const TrainConfig train = train_config(micro_batch, shards);
  std::vector<int> seen(static_cast<std::size_t>(images), 0);
  std::vector<std::size_t> passes;
  for (int rank = 0; rank < ranks; ++rank) {
    int staged = 0;
    const std::vector<MicroBatch> mine = micro_batches(train, images, rank, ranks);
    for (const MicroBatch& pass : mine) {
      EXPECT_EQ(pass.global_n, images);
      EXPECT_EQ(pass.staged, staged);
      staged += pass.shard.count;
      EXPECT_LT(pass.block, gradient_blocks(train, ranks));
      EXPECT_GE(pass.shard.first, pass.span.first);
      EXPECT_LE(pass.shard.first + pass.shard.count, pass.span.first + pass.span.count);
      for (int i = 0; i < pass.shard.count; ++i) ++seen[static_cast<std::size_t>(pass.shard.first + i)];
    }
    EXPECT_EQ(staged, images_of(train, images, rank, ranks));
    expect_partners_behind_passes(train, images, rank, ranks);
    EXPECT_LE(staged, images_of(train, images, 0, ranks)) << "the first rank has the most";
    passes.push_back(mine.size());
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), images);
  EXPECT_EQ(std::count(passes.begin(), passes.end(), passes[0]), ranks)
      << "collectives are the same everywhere";
}

INSTANTIATE_TEST_SUITE_P(Batches, Cut,
                         ::testing::Values(std::tuple{24, 1, 0, 0}, std::tuple{24, 3, 0, 0},
                                           std::tuple{24, 2, 6, 0}, std::tuple{23, 4, 6, 0},
                                           std::tuple{1, 4, 6, 0}, std::tuple{24, 1, 0, 8},
                                           std::tuple{24, 2, 0, 8}, std::tuple{23, 4, 0, 4},
                                           std::tuple{3, 2, 0, 8}));

/// Sizes of what ranks evaluate of so many images, in the images' order.
std::vector<int> evaluated(const TrainConfig& train, int images, int ranks) {
  std::vector<int> sizes;
  int next = 0;
  for (const Range& batch : batches_of(images, evaluation_batch(train, ranks), false)) {
    for (int rank = 0; rank < ranks; ++rank) {
      const Shard shard = evaluation_shard(train, batch.count, rank, ranks);
      EXPECT_LE(shard.count, images_of(train, train.global_batch, 0, ranks)) << "staged in no more memory";
      if (shard.count == 0) continue;
      EXPECT_EQ(batch.first + shard.first, next);
      next += shard.count;
      sizes.push_back(shard.count);
    }
  }
  EXPECT_EQ(next, images) << "each once";
  return sizes;
}

TEST(Evaluation, TakesLogicalShardsWhateverTheNumberOfRanks) {
  for (const int global_batch : {24, 22}) {
    TrainConfig train = train_config(0, 8);
    train.global_batch = global_batch;
    for (const int images : {1, 3, 24, 25, 100}) {
      const std::vector<int> alone = evaluated(train, images, 1);
      EXPECT_EQ(alone.front(), std::min(images, 3));
      for (const int ranks : {2, 4, 8}) EXPECT_EQ(evaluated(train, images, ranks), alone) << ranks;
    }
  }
}

TEST(Evaluation, ElseSharesWholeBatches) {
  EXPECT_EQ(evaluated(train_config(0, 0), 30, 2), (std::vector<int>{12, 12, 3, 3}));
  EXPECT_EQ(evaluated(train_config(6, 0), 13, 4), (std::vector<int>{2, 2, 1, 1, 2, 2, 1, 1, 1}));
}

/// What the folds of passes that leave "0", "1", ... make of them.
std::string sum_of(int passes, bool as_tree) {
  const FoldPlan plan = fold_plan(passes, as_tree);
  std::vector<std::string> blocks(static_cast<std::size_t>(plan.blocks));
  for (int pass = 0; pass < passes; ++pass) {
    const auto at = static_cast<std::size_t>(pass);
    blocks[static_cast<std::size_t>(plan.block[at])] = std::to_string(pass);
    for (const BlockPair& fold : plan.folds[at]) {
      std::string& into = blocks[static_cast<std::size_t>(fold.into)];
      into = "(" + into + "+" + blocks[static_cast<std::size_t>(fold.from)] + ")";
    }
  }
  return blocks[0];
}

TEST(Folds, AddPassAfterPassFromASecondBlock) {
  EXPECT_EQ(sum_of(1, false), "0");
  EXPECT_EQ(sum_of(4, false), "(((0+1)+2)+3)");
  EXPECT_EQ(fold_plan(7, false).blocks, 2);
}

TEST(Folds, OrAsABalancedTree) {
  EXPECT_EQ(sum_of(4, true), "((0+1)+(2+3))");
  EXPECT_EQ(sum_of(8, true), "(((0+1)+(2+3))+((4+5)+(6+7)))");
  EXPECT_EQ(sum_of(3, true), "((0+1)+2)");
  EXPECT_EQ(fold_plan(8, true).blocks, 4);
}

TEST(Groups, AreLocalWhereShardsEndWithThem) {
  const auto second_of_two = [](int images) { return micro_batches(train_config(0, 0), images, 1, 2)[0]; };
  EXPECT_TRUE(groups_are_local(second_of_two(24), 12));
  EXPECT_TRUE(groups_are_local(second_of_two(24), 4));
  EXPECT_FALSE(groups_are_local(second_of_two(24), 8));
  EXPECT_FALSE(groups_are_local(second_of_two(24), 0));
  EXPECT_FALSE(groups_are_local(second_of_two(14), 12));
  EXPECT_TRUE(groups_are_local(second_of_two(1), 12)) << "one rank has all there is";
  EXPECT_TRUE(groups_are_local(micro_batches(train_config(0, 0), 24, 0, 1)[0], 0));
  EXPECT_TRUE(groups_are_local(micro_batches(train_config(8, 0), 24, 1, 2)[1], 4));
  EXPECT_TRUE(groups_are_local(micro_batches(train_config(0, 4), 24, 1, 2)[1], 0)) << "of a logical shard";
}

TEST(Groups, AreCountedOverTheWholeBatch) {
  EXPECT_EQ(batchnorm_groups(micro_batches(train_config(0, 0), 24, 0, 2)[0], 0), 1);
  EXPECT_EQ(batchnorm_groups(micro_batches(train_config(0, 0), 23, 0, 2)[0], 4), 6);
  EXPECT_EQ(batchnorm_groups(micro_batches(train_config(8, 0), 24, 0, 2)[0], 4), 6);
  EXPECT_EQ(batchnorm_groups(micro_batches(train_config(0, 4), 24, 0, 2)[0], 0), 4);
  EXPECT_EQ(batchnorm_groups(micro_batches(train_config(0, 4), 3, 0, 2)[0], 0), 3) << "one shard is empty";
}

}  // namespace
}  // namespace convoy::testing
