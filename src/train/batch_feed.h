// Batches of a data set that does not lie in the engine's memory, on their way there.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/prefetch.h"
#include "src/train/engine.h"

namespace convoy {

/// A thread stages coming batches in host memory, and the engine copies each to one of two slots while the
/// step on the other runs.
class BatchFeed {
 public:
  /// `images`: the layout's tensor, staging_slots equal parts. `dataset` and `engine` outlive the feed.
  BatchFeed(const Dataset& dataset, Engine& engine, const Tensor& images);

  /// Begins a sequence of batches, dropping what an earlier one left: batch b holds the images of the sample
  /// ids batches[b].
  void start(std::vector<std::vector<std::int32_t>> batches);
  /// Waits until the next batch, of `count` images, is staged and queues its upload. Returns its slot, for
  /// the run that the caller queues before the next call.
  int next(std::int64_t count);

 private:
  Engine& engine_;
  Tensor images_;
  std::int64_t pixels_;  ///< of an image
  std::vector<std::uint8_t*> buffers_;
  Prefetcher prefetcher_;
  int slot_ = 0;       ///< that the next batch goes to
  int uploading_ = 0;  ///< buffers that uploads may still read
};

}  // namespace convoy
