// How long a thread that waits may keep its core busy.
#pragma once

#include <chrono>

namespace convoy {

/// Longer than most pauses between two loops and than handing work from one core to another; shorter than a
/// time slice of the scheduler. A thread that waits longer must sleep: on a shared core it would take time
/// from the threads that it waits for.
constexpr std::chrono::microseconds longest_spin{50};

/// Tells the core that this thread is waiting.
inline void relax_core() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Polls `done` for at most longest_spin. Returns whether it became true.
template <class Done>
bool spin_until(Done&& done) {
  constexpr int questions = 16;  // between two looks at the clock
  const auto until = std::chrono::steady_clock::now() + longest_spin;
  do {
    for (int i = 0; i < questions; ++i) {
      if (done()) return true;
      relax_core();
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace convoy
