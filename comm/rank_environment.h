// The place of this process among the ranks, and the collectives of the host that decisions use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/activity.h"

namespace convoy {

/// Of this host; empty where it has none.
std::string host_name();

struct MpiGroup;
class MpiLibrary;

/// MPI's lifetime and this process's place in it. Where no launcher started several ranks: a single rank, MPI
/// not even opened. Constructed once, in main, before any CUDA call.
class RankEnvironment {
 public:
  /// Opens and initialises the launcher's MPI (mpi_library.h). Throws when that is not installed, and when
  /// the launcher says there are several ranks and MPI does not.
  RankEnvironment(int* argc, char*** argv);
  /// A single rank, whatever the launcher says: for comparing with, not for a run of its own.
  static RankEnvironment alone() { return {}; }
  /// The first `count` ranks as if there were no others; on those, the others among themselves. Collective,
  /// and so is its end. For benchmarks: this one, which must outlive it, stays in charge of faults.
  RankEnvironment first(int count) const { return {*this, count}; }
  ~RankEnvironment();
  /// Ends MPI; all ranks wait for it. No communication with other ranks may follow or be under way.
  void finalise();
  RankEnvironment(const RankEnvironment&) = delete;
  RankEnvironment& operator=(const RankEnvironment&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  bool is_root() const { return rank_ == 0; }
  const std::string& host() const { return host_; }
  /// What this rank is doing; the code that does it sets it.
  Activity& activity() const { return activity_; }

  /// Host collectives; every rank calls them in the same order. Trivial on one rank. Throw when MPI fails.
  void sum(std::span<double> values) const;
  std::int64_t max(std::int64_t value) const;
  void broadcast(void* data, std::size_t bytes, int root = 0) const;
  /// The lowest rank where this is so; size() when it is so nowhere.
  int first_with(bool so) const;
  /// A rank's text, on every rank.
  std::string text_of(int rank, const std::string& mine) const;
  /// Every rank's text, on every rank.
  std::vector<std::string> gather(const std::string& mine) const;

  /// Waits for all ranks, as long as it takes, without keeping a core busy.
  void rest() const;
  /// "Open MPI v4.1.4", of the library that is open; empty where none is.
  std::string mpi_version() const;
  /// The same with its path. Where none is open: what would be, or why there is none.
  std::string describe_mpi() const;
  /// Null on a single rank without MPI.
  const MpiGroup* group() const { return group_.get(); }

  /// Ends every rank with this exit code, without unwinding.
  [[noreturn]] void abort(int exit_code) const;

 private:
  RankEnvironment();
  RankEnvironment(const RankEnvironment& all, int count);
  void find_place();

  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  std::unique_ptr<const MpiLibrary> library_;  ///< initialised, to be finalised
  std::shared_ptr<const MpiGroup> group_;
  std::string host_;
  mutable Activity activity_;
};

}  // namespace convoy
