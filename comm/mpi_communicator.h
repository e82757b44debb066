// Sums over ranks in host memory, with MPI.
#pragma once

#include <mpi.h>

#include <vector>

#include "comm/communicator.h"
#include "comm/rank_environment.h"

namespace convoy {

/// Non-blocking all-reduces on a communicator of their own; every call also gives those under way a chance to
/// progress.
class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(const RankEnvironment& ranks);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum_async(void* values, std::int64_t count, DType type) override;
  void join() override;
  void abort() noexcept override;

 private:
  int rank_, size_;
  Activity& activity_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<MPI_Request> pending_;
};

}  // namespace convoy
