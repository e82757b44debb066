// Threads that share the turns of a loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace convoy {

/// As many threads as OMP_NUM_THREADS says, else one per core that this process may run on,
/// within its container's share of CPU time.
int default_threads();

/// The calling thread and helpers that it wakes for a loop. Each thread has a part of the turns, the same one
/// in every loop of that length, so that it finds its data in its cache. A thread that has finished its part
/// helps the others. So no thread waits for a helper that has no core at the moment: the others do its part.
/// Waiting threads spin for `longest_spin` (spin.h), then they sleep. One thread at a time may use a pool.
class ThreadPool {
 public:
  /// `threads`, at least 1, counts the caller. Helpers start with the first loop that has work for them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// How many threads the coming loops may have.
  int threads() const { return limit_; }
  /// From now on loops have at most `threads` threads, at least 1, and never more than the pool was made for.
  void limit(int threads);

  /// Calls body(i) once for each i in [0, count), in any order, and returns when all are through. No turn may
  /// throw, use this pool, or depend on which thread it runs on.
  template <class Body>
  void for_each(std::int64_t count, const Body& body) {
    for_each_range(count, [&body](std::int64_t first, std::int64_t end) {
      for (std::int64_t i = first; i < end; ++i) body(i);
    });
  }
  /// The same with body(first, end) for ranges that together are [0, count). How it is cut depends on the
  /// number of threads: where results would, sums for example, turns of a fixed size belong into for_each().
  template <class Body>
  void for_each_range(std::int64_t count, const Body& body) {
    if (count <= 0) return;
    if (count == 1 || limit_ == 1) return body(std::int64_t{0}, count);
    run({count, &body, [](const void* range, std::int64_t first, std::int64_t end) {
           (*static_cast<const Body*>(range))(first, end);
         }});
  }

 private:
  struct Loop {
    std::int64_t count = 0;
    const void* body = nullptr;
    void (*call)(const void* body, std::int64_t first, std::int64_t end) = nullptr;
    int parts = 0;           ///< threads that take part
    std::int64_t chunk = 0;  ///< turns that a thread takes at a time
  };
  /// A part of the loop: what of it nobody has taken yet. A cache line of its own.
  struct alignas(64) Part {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
  };

  void run(Loop loop);
  void start_helpers();
  void help(int index);
  void work(int index);
  void await_helpers();

  const int most_;
  int limit_;
  Loop loop_;  ///< read by helpers that are inside
  std::unique_ptr<Part[]> parts_;
  /// Counts loops: a change wakes the helpers.
  alignas(64) std::atomic<std::uint32_t> started_{0};
  /// The number of helpers that use loop_, and the bit `closed` while no helper may.
  std::atomic<std::uint32_t> inside_{closed};
  static constexpr std::uint32_t closed = 1U << 31;
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<int> helpers_asleep_{0};
  std::atomic<bool> caller_asleep_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace convoy
