// Sums over ranks and exchanges between them, ordered with an engine's other work.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace convoy {

/// One per engine. All ranks make the same calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Replaces `count` floating-point values in the engine's memory by their sum over ranks. Starts after the
  /// work queued so far, may overlap with what is queued next; the values are valid after join().
  virtual void all_reduce_sum_async(void* values, std::int64_t count, DType type) = 0;
  /// `from` and `to` hold `count` values for each rank: slice r of `to` becomes slice rank() of rank r's
  /// `from`. As asynchronous as sums.
  virtual void exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) = 0;
  /// `values` holds `count` values of each rank; every rank gets the values of all ranks. As asynchronous as
  /// sums.
  virtual void gather_slices_async(void* values, std::int64_t count, DType type) = 0;
  /// Work queued from here on waits for the results; the host does not, where the engine is asynchronous.
  virtual void join() = 0;
  /// Gives up whatever is under way, here and (within the time limit) on every rank.
  virtual void abort() noexcept = 0;
};

/// A single rank: a sum is the value itself, and there are no other ranks to exchange slices with.
class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum_async(void*, std::int64_t, DType) override {}
  void exchange_slices_async(const void*, void*, std::int64_t, DType) override { fail("{}", alone); }
  void gather_slices_async(void*, std::int64_t, DType) override { fail("{}", alone); }
  void join() override {}
  void abort() noexcept override {}

 private:
  static constexpr const char* alone = "internal error: slices of a single rank";
};

}  // namespace convoy
