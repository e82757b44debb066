// Sums over ranks in host memory, with MPI.
#pragma once

#include <optional>
#include <vector>

#include "comm/communication_thread.h"
#include "comm/communicator.h"
#include "comm/mpi_interface.h"
#include "comm/rank_environment.h"

namespace convoy {

/// Sums proceed beside the engine's work, on a thread of their own and an MPI communicator of their own.
/// MPI_THREAD_SERIALIZED allows one thread at a time inside MPI: between all_reduce_sum_async() and the
/// join() that follows it MPI is the thread's, at all other times the caller's. So RankEnvironment's
/// collectives must come after a join(); engines end each run with one.
class MpiCommunicator final : public Communicator {
 public:
  /// For two ranks or more.
  explicit MpiCommunicator(const RankEnvironment& ranks);
  /// Does not wait for sums that were not joined: after an error they may never end.
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum_async(void* values, std::int64_t count, DType type) override;
  void exchange_slices_async(const void* from, void* to, std::int64_t count, DType type) override;
  void gather_slices_async(void* values, std::int64_t count, DType type) override;
  /// Throws what went wrong with the sums.
  void join() override;
  void abort() noexcept override;

 private:
  bool test_all();

  MpiInterface& mpi_;
  int rank_, size_;
  Activity& activity_;
  MpiComm comm_;
  std::vector<MpiRequest> under_way_;          ///< the thread's
  std::optional<CommunicationThread> thread_;  ///< ends before the rest does
};

}  // namespace convoy
