// Sums over ranks in device memory, with NCCL.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "comm/library_nccl.h"
#include "comm/rank_environment.h"
#include "core/cuda.h"

namespace convoy {

/// All-reduces run on a high-priority stream of their own, forked from the compute stream and joined by
/// events, so that stream capture takes them into the compute stream's graph. Graphs must be destroyed first.
class NcclCommunicator final : public Communicator {
 public:
  /// Collective, for two ranks or more; the current device is this rank's alone. Ends with a checked sum.
  /// Where it throws or is destroyed by an exception, nothing waits for the other ranks; what they may still
  /// read, memory included, is left to the end of the process.
  NcclCommunicator(const RankEnvironment& ranks, cudaStream_t compute);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum_async(void* values, std::int64_t count, DType type) override;
  void exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) override;
  void gather_slices_async(void* values, std::int64_t count, DType type) override;
  void join() override;
  /// Callable from any thread.
  void abort() noexcept override;

  /// Device memory that lasts as long as the communicator, for values to be summed. Every rank asks for the
  /// same sizes in the same order, but no rank waits here for another.
  void* allocate(std::size_t bytes);
  /// Collective, outside of any capture: opens what was allocated since the last call to the other ranks, so
  /// that sums go straight from GPU to GPU where NCCL can do that (2.27 or newer, NVLink, one host).
  void register_memory();

  const NcclLibrary& library() const { return *nccl_; }
  /// Throws what NCCL noticed by itself meanwhile, such as a peer that went away.
  void check_health() const;

 private:
  struct Memory {
    void* address;
    std::size_t bytes;
    NcclWindow window;  ///< null: not registered, or nothing is gained by it
  };
  ncclComm_t handle() const;
  void free_memory(void* address) const noexcept;
  /// Calls queue(comm, stream) behind the work queued so far.
  template <class Queue>
  void start(Queue queue);

  std::optional<const NcclLibrary> nccl_;  ///< opened where ranks agree on failures
  int rank_, size_;
  cudaStream_t compute_;
  CudaStream stream_;
  CudaEvent ready_, done_;  ///< compute has produced the values; communication has summed them
  std::atomic<ncclComm_t> comm_{nullptr};
  bool pending_ = false;  ///< sums under way that no join() has followed
  std::vector<Memory> memory_;
  std::size_t registered_ = 0;  ///< so many of the first of them were offered to NCCL
};

}  // namespace convoy
