#include "src/train/early_stop.h"

#include <utility>

#include "core/signal_block.h"

namespace convoy {

EarlyStop::EarlyStop(std::function<bool()> asked, Watchdog& watchdog, std::string why,
                     std::chrono::milliseconds grace) {
  const SignalBlock block;
  thread_ = std::jthread(
      [this, asked = std::move(asked), &watchdog, why = std::move(why), grace](const std::stop_token& over) {
        std::unique_lock lock(mutex_);
        const auto sleep = [&](std::chrono::milliseconds time) {
          wake_.wait_for(lock, over, time, [] { return false; });
        };
        while (!over.stop_requested() && !asked())
          sleep(std::chrono::milliseconds(50));  // a handler cannot wake it
        if (!over.stop_requested()) sleep(grace);
        if (!over.stop_requested()) watchdog.stop(why);
      });
}

}  // namespace convoy
