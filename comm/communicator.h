// Sums over ranks, ordered with an engine's other work.
#pragma once

#include <cstdint>

#include "src/core/tensor.h"

namespace convoy {

/// One per engine. All ranks make the same calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Replaces `count` values (f32 or f64, in the engine's memory) by their sum over ranks. Starts after the
  /// work queued so far, may overlap with what is queued next; the values are valid after join().
  virtual void all_reduce_sum_async(void* values, std::int64_t count, DType type) = 0;
  /// Work queued from here on waits for the sums; the host does not, where the engine is asynchronous.
  virtual void join() = 0;
  /// Gives up whatever is under way, here and (within the time limit) on every rank.
  virtual void abort() noexcept = 0;
};

/// One rank: sums are what they are.
class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum_async(void*, std::int64_t, DType) override {}
  void join() override {}
  void abort() noexcept override {}
};

}  // namespace convoy
