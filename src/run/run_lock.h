// One run at a time writes into a folder, on whatever hosts its disk is seen.
//
// The lock is a file, `run.lock`, that names its owner (lock_record.h). Locks of the kernel would not do:
// many file systems that hosts share have none, or keep them on each host. A process that finds the file on
// the owner's host, in the same namespace of processes, looks the owner up there, so that a killed run's lock
// is taken over at once. Elsewhere it watches whether the owner goes on to renew the file's time.
//
// Several processes may see that an owner is dead, but only one may take the lock over. The right to replace
// a lock with token T is a lock itself, the file `run.lock.T`, which is created and, if its owner dies too,
// taken over in the same way. Tokens never repeat, so a process that holds `run.lock.T` and finds T in
// `run.lock` may rename the first over the second.
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

/// Time limits. Owners of other versions may renew more slowly: their file says so.
struct LockTimes {
  std::chrono::milliseconds refresh{2000};   ///< between two renewals of the file's time
  std::chrono::milliseconds patience{3000};  ///< for an owner that lives: the previous run may be ending
  int silent_refreshes = 6;  ///< after so many missed renewals an owner on another host counts as dead
};

/// Holds the lock for its lifetime. The next run takes over the lock of a process that was killed or whose
/// host went down.
class RunLock {
 public:
  /// Makes the folder, if need be, and locks it, or throws Error naming the owner. Calls `stop_requested`
  /// while it waits and throws Error with ExitCode::stopped once that returns true.
  RunLock(const std::filesystem::path& folder, const std::string& host,
          const std::function<bool()>& stop_requested, LockTimes times = {});
  /// Removes the file, and those of the folders it made that are empty.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Whether the folder was not there before.
  bool made_folder() const { return !made_.empty(); }
  /// False once another run has taken the lock over because it believes this one dead. Nothing may be written
  /// then. Reads the disk.
  bool is_ours() const;
  /// Throws Error that names the other run if the lock is no longer ours.
  void require_ours() const;
  /// Makes the file anew where somebody has deleted it, with the folder or alone.
  void restore() const;

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
