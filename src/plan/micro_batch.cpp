#include "src/plan/micro_batch.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/ceil_div.h"

namespace convoy {
namespace {

Range moved(Range range, int by) {
  return {range.first + by, range.count};
}

int groups_in(int images, int group) {
  if (images == 0) return 0;
  return group > 0 ? ceil_div(images, group) : 1;
}

int images_in_logical_shard(const TrainConfig& train) {
  return ceil_div(train.global_batch, train.reproducible_across_ranks);
}

/// A part of the micro-batch that all ranks share.
std::vector<MicroBatch> shared(int size, int global_n, int rank, int ranks) {
  std::vector<MicroBatch> passes;
  for (int first = 0; first < global_n; first += size) {
    MicroBatch pass{global_n, {}, ranks, rank, {first, std::min(size, global_n - first)}};
    pass.shard = moved(shard_of(pass.span.count, rank, ranks), first);
    passes.push_back(pass);
  }
  return passes;
}

/// The logical shards of one rank.
std::vector<MicroBatch> own(int logical_shards, int global_n, int rank, int ranks) {
  const Range mine = shard_of(logical_shards, rank, ranks);
  std::vector<MicroBatch> passes;
  for (int i = mine.first; i < mine.first + mine.count; ++i) {
    const Shard shard = shard_of(global_n, i, logical_shards);
    passes.push_back({global_n, shard, ranks, rank, shard, logical_shards});
  }
  return passes;
}

}  // namespace

std::vector<MicroBatch> micro_batches(const TrainConfig& train, int global_n, int rank, int ranks,
                                      bool blends) {
  const bool as_tree = train.reproducible_across_ranks > 0;
  const int size = train.micro_batch > 0 ? train.micro_batch : std::max(global_n, 1);
  std::vector<MicroBatch> passes = as_tree ? own(train.reproducible_across_ranks, global_n, rank, ranks)
                                           : shared(size, global_n, rank, ranks);
  const FoldPlan folds = fold_plan(static_cast<int>(passes.size()), as_tree);
  int staged = 0;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    passes[i].block = folds.block[i];
    const Range span = passes[i].span, shard = passes[i].shard;
    passes[i].staged = std::exchange(staged, staged + shard.count + (blends && shard.count > 0 ? 1 : 0));
    passes[i].after = span.first + (shard.first - span.first + shard.count) % std::max(span.count, 1);
  }
  return passes;
}

int evaluation_batch(const TrainConfig& train, int ranks) {
  if (train.reproducible_across_ranks > 0) return ranks * images_in_logical_shard(train);
  return train.micro_batch > 0 ? train.micro_batch : train.global_batch;
}

Shard evaluation_shard(const TrainConfig& train, int images, int rank, int ranks) {
  if (train.reproducible_across_ranks == 0) return shard_of(images, rank, ranks);
  const int size = images_in_logical_shard(train), first = std::min(rank * size, images);
  return {first, std::min(size, images - first)};
}

int images_of(const TrainConfig& train, int global_n, int rank, int ranks) {
  int images = 0;
  for (const MicroBatch& pass : micro_batches(train, global_n, rank, ranks)) images += pass.shard.count;
  return images;
}

int staged_of(const Config& config, int global_n, int rank, int ranks) {
  const bool blends = config.data.blends();
  const std::vector<MicroBatch> passes = micro_batches(config.train, global_n, rank, ranks, blends);
  int images = 0;
  for (const MicroBatch& pass : passes) images += pass.shard.count + (blends && pass.shard.count > 0 ? 1 : 0);
  return images;
}

FoldPlan fold_plan(int passes, bool as_tree) {
  FoldPlan plan;
  int used = 0;  // blocks that hold sums still to be added
  for (int pass = 0; pass < passes; ++pass) {
    plan.block.push_back(used++);
    plan.blocks = std::max(plan.blocks, used);
    // As in a binary counter: pass p completes as many sums as p + 1 has zeros at its end.
    const int completed = as_tree ? std::countr_zero(static_cast<unsigned>(pass) + 1U) : used - 1;
    std::vector<BlockPair>& folds = plan.folds.emplace_back();
    for (int i = 0; i < completed; ++i, --used) folds.push_back({used - 2, used - 1});
  }
  for (; used > 1; --used) plan.folds.back().push_back({used - 2, used - 1});
  return plan;
}

int gradient_blocks(const TrainConfig& train, int ranks) {
  if (train.reproducible_across_ranks > 0)
    return fold_plan(train.reproducible_across_ranks / ranks, true).blocks + (ranks > 1 ? 1 : 0);
  return train.micro_batch > 0 && train.micro_batch < train.global_batch ? 2 : 1;
}

int batchnorm_groups(const MicroBatch& batch, int group) {
  if (batch.logical_shards == 1) return groups_in(batch.global_n, group);
  int groups = 0;
  for (int i = 0; i < batch.logical_shards; ++i)
    groups += groups_in(shard_of(batch.global_n, i, batch.logical_shards).count, group);
  return groups;
}

bool has_group_of_one(const MicroBatch& batch, int group) {
  for (int i = 0; i < batch.logical_shards; ++i) {
    const int images = shard_of(batch.global_n, i, batch.logical_shards).count;
    if (images == 1 || (images > 0 && (group == 1 || (group > 1 && images % group == 1)))) return true;
  }
  return false;
}

bool groups_are_local(const MicroBatch& batch, int group) {
  if (batch.logical_shards > 1) return true;
  const int images = group > 0 ? group : std::max(batch.span.count, 1);
  for (int rank = 1; rank < batch.ranks; ++rank) {
    const int boundary = shard_of(batch.span.count, rank, batch.ranks).first;
    if (boundary % images != 0 && boundary != batch.span.count) return false;
  }
  return true;
}

}  // namespace convoy
