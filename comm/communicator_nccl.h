// Sums over ranks in device memory, with NCCL.
#pragma once

#include <nccl.h>

#include <atomic>

#include "comm/communicator.h"
#include "comm/rank_environment.h"
#include "src/core/cuda.h"

namespace convoy {

/// All-reduces run on a high-priority stream of their own, forked from the compute stream and joined by
/// events, so that stream capture takes them into the compute stream's graph. Graphs must be destroyed first.
class NcclCommunicator final : public Communicator {
 public:
  /// Collective, for two ranks or more; the current device is this rank's alone. Ends with a checked sum.
  NcclCommunicator(const RankEnvironment& ranks, cudaStream_t compute);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum_async(void* values, std::int64_t count, DType type) override;
  void join() override;
  /// Callable from any thread.
  void abort() noexcept override;

  /// Throws what NCCL noticed by itself meanwhile, such as a peer that went away.
  void check_health() const;

 private:
  ncclComm_t handle() const;

  int rank_, size_;
  cudaStream_t compute_;
  CudaStream stream_;
  CudaEvent ready_, done_;  ///< compute has produced the values; communication has summed them
  std::atomic<ncclComm_t> comm_{nullptr};
  bool pending_ = false;  ///< sums under way that no join() has followed
};

}  // namespace convoy
