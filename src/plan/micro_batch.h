// How a global batch is worked off: in which passes, and what a rank does in each.
#pragma once

#include <vector>

#include "core/range.h"
#include "src/config/config.h"

namespace convoy {

/// One pass forward and backward over images of a global batch, as one rank sees it.
struct MicroBatch {
  int global_n = 0;  ///< images of the global batch, over all ranks and passes
  Shard shard;       ///< this rank's images of this pass, as places in the global batch; may be empty
  int ranks = 1, rank = 0;
  /// What ranks do together in this pass. BatchNorm's groups are cut from it.
  Range span = {0, global_n};
  int logical_shards = 1;  ///< so many spans are worked on at the same time, each by one rank
  int block = 0;           ///< of gradients: where this pass leaves what it adds to them
  int staged = 0;          ///< where its images begin among those that the rank was handed for the batch
  int after = 0;           ///< place in the global batch of what follows its last image, around the span
};

/// The passes of this rank over a batch of `global_n` training images, in order. Without
/// reproducible_across_ranks every rank has as many and they cut each micro-batch into shards; with it each
/// rank has its part of the logical shards. With `blends` a rank is handed the image `after` behind each
/// pass's.
std::vector<MicroBatch> micro_batches(const TrainConfig& train, int global_n, int rank, int ranks,
                                      bool blends = false);

/// Images that all ranks together evaluate at a time: no more per rank than in a training pass.
int evaluation_batch(const TrainConfig& train, int ranks);
/// A rank's part of such a batch, of which there are `images` (at the end fewer). With
/// reproducible_across_ranks it is a logical shard, so that on any rank count the same images go through
/// kernels together: some, as cuBLAS's, are chosen by the number of rows, and their bits differ.
Shard evaluation_shard(const TrainConfig& train, int images, int rank, int ranks);

/// Images of the global batch that a rank works on, in all its passes.
int images_of(const TrainConfig& train, int global_n, int rank, int ranks);
/// Images that a rank is handed for that.
int staged_of(const Config& config, int global_n, int rank, int ranks);

/// Of gradients: block `into` becomes the sum of both.
struct BlockPair {
  int into = 0, from = 0;
  bool operator==(const BlockPair&) const = default;
};
/// After which passes blocks of gradients are added, and which: pass after pass into block 0, from block 1.
/// With `as_tree`, as a binary tree: of two passes at a time, then of two such sums, and so on; passes then
/// take the lowest free block.
struct FoldPlan {
  std::vector<int> block;                     ///< of each pass
  std::vector<std::vector<BlockPair>> folds;  ///< folds[p] are done after pass p, in order
  int blocks = 1;
};
FoldPlan fold_plan(int passes, bool as_tree);

/// Blocks of gradients that a run needs, the room for exchanges included.
int gradient_blocks(const TrainConfig& train, int ranks);

/// Groups of `group` images (0: all of a span) in the whole global batch.
int batchnorm_groups(const MicroBatch& batch, int group);
/// Whether one of these groups, in the whole global batch, is of a single image.
bool has_group_of_one(const MicroBatch& batch, int group);
/// Whether no group of this pass has images on two ranks. The same on every rank: collectives depend on it.
bool groups_are_local(const MicroBatch& batch, int group);

}  // namespace convoy
