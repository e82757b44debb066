// One run at a time writes into a folder, on whatever hosts its disk is seen.
//
// The lock is a file, `run.lock`, that tells who made it (lock_record.h). Locks of the kernel would not do:
// many file systems that hosts share have none, or keep them on each host. Whoever finds the file asks its
// own kernel for the owner, where owner and finder are of one host and one namespace of processes, so that a
// killed run's lock is taken over at once. Elsewhere it watches whether the owner goes on to renew the file's
// time.
//
// Taking over must be done by one alone, though several may see that an owner is dead. The right to replace
// a lock with token T is a lock itself, the file `run.lock.T`, made and, where its owner dies too, taken over
// in the same way. Tokens never come again, so who holds `run.lock.T` and finds T in `run.lock` may rename
// the one over the other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace convoy {

/// How long things take. Owners of other versions may renew more slowly: their file says so.
struct LockTimes {
  std::chrono::milliseconds refresh{2000};   ///< between two renewals of the file's time
  std::chrono::milliseconds patience{3000};  ///< for an owner that lives: the run before may just be ending
  int silent_refreshes = 6;                  ///< so many left out: an owner that cannot be asked for is dead
};

/// Held while it lives. The lock of a process that was killed, or whose host was, is taken over by the next
/// run.
class RunLock {
 public:
  /// Makes the folder, if need be, and locks it, or throws Error naming the owner. `stop_requested` is asked
  /// while it waits; its answer true throws Error with ExitCode::stopped.
  RunLock(const std::filesystem::path& folder, const std::string& host,
          const std::function<bool()>& stop_requested, LockTimes times = {});
  /// Removes the file, and of the folders that were made those that are empty.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Whether the folder was not there before.
  bool made_folder() const { return !made_.empty(); }
  /// False once another run has taken the lock over, which takes this one for dead: nothing may be written
  /// any more. Looks at the disk.
  bool is_ours() const;
  /// Throws Error, naming the other run, where it is not.
  void require_ours() const;

 private:
  void keep_fresh(const std::stop_token& stop);

  const std::filesystem::path path_;
  const LockTimes times_;
  std::string text_;  ///< of the file
  std::vector<std::filesystem::path> made_;
  mutable std::mutex mutex_;
  mutable bool lost_ = false;
  std::condition_variable_any stopping_;
  std::jthread thread_;  // last, so that it is joined before what it uses goes
};

}  // namespace convoy
