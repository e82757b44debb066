// Uploads the batches of a data set that is not resident in the engine's memory.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/prefetch.h"
#include "src/engine/engine.h"

namespace convoy {

/// Threads stage coming batches in host memory, and the engine copies each to one of two slots while the
/// step on the other runs.
class BatchFeed {
 public:
  /// `images`: the layout's tensor, staging_slots equal parts. `dataset` and `engine` outlive the feed.
  BatchFeed(const Dataset& dataset, Engine& engine, const Tensor& images, int threads = 1);

  /// Begins a sequence of batches and drops the rest of an earlier one. Batch b holds the images of the
  /// sample ids batches[b] for this occasion.
  void start(std::vector<std::vector<std::int32_t>> batches, const Occasion& occasion);
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
