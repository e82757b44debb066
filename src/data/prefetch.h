// Batches staged ahead of the step that uses them, for data sets that are not resident where the step runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "src/data/dataset.h"

namespace convoy {

/// Threads that put the images of coming batches, in the given order, into a ring of slots. What is in a slot
/// does not depend on how many they are.
class Prefetcher {
 public:
  /// `slots` point to host memory of batch_capacity images each; they and `dataset` outlive the prefetcher.
  Prefetcher(const Dataset& dataset, std::vector<std::uint8_t*> slots, int threads = 1);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Begins a sequence of batches and drops the rest of an earlier one. Batch b holds the images of the
  /// sample ids batches[b] for this occasion. Waits at most for the copy under way.
  void start(std::vector<std::vector<std::int32_t>> batches, const Occasion& occasion = {});
  /// Waits until the next batch is staged and returns its slot's index. Rethrows what a thread threw.
  int acquire();
  /// The slot acquired longest ago may be overwritten.
  void release();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace convoy
