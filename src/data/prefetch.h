// Batches staged ahead of the step that uses them, for data sets that are not resident where the step runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "src/data/dataset.h"

namespace convoy {

/// A thread that copies the images of coming batches, in the given order, into a ring of slots.
class Prefetcher {
 public:
  /// `slots` point to host memory of batch_capacity images each; they and `dataset` outlive the prefetcher.
  Prefetcher(const Dataset& dataset, std::vector<std::uint8_t*> slots);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Begins a sequence of batches, dropping what an earlier one left: batch b holds the images of the sample
  /// ids batches[b]. Returns at once.
  void start(std::vector<std::vector<std::int32_t>> batches);
  /// Waits until the next batch is staged and returns its slot's index. Rethrows what the thread threw.
  int acquire();
  /// The slot acquired longest ago may be overwritten.
  void release();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace convoy
