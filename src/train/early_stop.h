// Ends the run on a request to stop in phases that do not check for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "comm/watchdog.h"

namespace convoy {

/// While it lives, a request to stop ends all ranks with the code for `stopped` once `grace` has passed: for
/// phases that have nothing to save and may last, such as loading data, or wait for a file system.
class EarlyStop {
 public:
  /// `asked`: whether a stop is requested, asked again and again by a thread. `why` is the reason that is
  /// said.
  EarlyStop(std::function<bool()> asked, Watchdog& watchdog, std::string why,
            std::chrono::milliseconds grace);
  ~EarlyStop() = default;
  /// From now on requests are heeded elsewhere. A request whose grace is over by now may still end all.
  void cancel() { thread_.request_stop(); }
  EarlyStop(const EarlyStop&) = delete;
  EarlyStop& operator=(const EarlyStop&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace convoy
