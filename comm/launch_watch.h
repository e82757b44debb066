// Watches ranks during the launch, before they can communicate.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "comm/heartbeat.h"
#include "comm/local_ranks.h"

namespace convoy {

/// While it lives, the launch must get on: MPI waits without a limit for ranks that do not come. A thread
/// looks after the other ranks of this host. One that is stopped for as long as `limit` ends this process
/// with code 1, and with it, by the launcher, all ranks. Where no rank of this host is stopped, another
/// host's may be: then the launch may take minutes, since large ones do. One rank of a host says why.
class LaunchWatch {
 public:
  explicit LaunchWatch(Seconds limit);
  ~LaunchWatch();
  LaunchWatch(const LaunchWatch&) = delete;
  LaunchWatch& operator=(const LaunchWatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  void run(const std::stop_token& stop);
  void judge(Clock::time_point now);
  [[noreturn]] void end(const std::vector<LocalRank>& others, const std::string& message) const;

  const Seconds limit_;
  const Clock::time_point begin_ = Clock::now();
  LocalRanks ranks_;
  std::map<std::int64_t, Clock::time_point> stopped_since_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace convoy
