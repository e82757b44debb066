// Ends the run on a request to stop in phases that do not check for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "comm/watchdog.h"
#include "src/train/stop_request.h"

namespace convoy {

/// While it lives, a request to stop ends all ranks with the code for `stopped` once `grace` has passed: for
/// phases that have nothing to save and may last, such as loading data, or wait for a file system.
class EarlyStop {
 public:
  /// `why` is the reason that is said.
  EarlyStop(const StopRequest& stop, Watchdog& watchdog, std::string why, std::chrono::milliseconds grace);
  ~EarlyStop() = default;
  EarlyStop(const EarlyStop&) = delete;
  EarlyStop& operator=(const EarlyStop&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace convoy
