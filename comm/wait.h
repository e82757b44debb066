// Waiting for other ranks on cores that other threads may need.
#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/spin.h"

namespace convoy {

/// From now on sleeps of the calling thread, and of those that it starts, last as long as they say; otherwise
/// Linux may add 50 us.
inline void shorten_naps() {
  prctl(PR_SET_TIMERSLACK, 1000UL);  // nanoseconds
}

/// Waits for an operation that must be polled:
///
///     for (PatientWait wait; !is_done();) wait.pause();
///
/// At first there is hardly a pause, for longest_spin; then the thread sleeps, each time for a part of how
/// long it has waited so far: it notices the end late by no more than that part, and takes next to nothing of
/// its core. It never calls sched_yield(), with which Linux lets a thread lose its turn to all others on its
/// core.
class PatientWait {
 public:
  using Clock = std::chrono::steady_clock;

  /// How long to sleep now, 1 / `part` of the wait so far; zero: poll again at once.
  Clock::duration nap(int part) const {
    const Clock::duration taken = Clock::now() - since_;
    return taken < longest_spin ? Clock::duration::zero() : nap_after(taken, part);
  }
  /// The same for a wait that has lasted so long, of which none is spun.
  static Clock::duration nap_after(Clock::duration taken, int part) {
    return std::clamp<Clock::duration>(taken / part, shortest_nap, longest_nap);
  }
  Clock::duration taken() const { return Clock::now() - since_; }
  void restart() { since_ = Clock::now(); }

  void pause() const {
    constexpr int part = 16;
    if (const Clock::duration time = nap(part); time > Clock::duration::zero())
      std::this_thread::sleep_for(time);
    else
      relax_core();
  }

 private:
  static constexpr std::chrono::microseconds shortest_nap{10}, longest_nap{1000};
  Clock::time_point since_ = Clock::now();
};

}  // namespace convoy
