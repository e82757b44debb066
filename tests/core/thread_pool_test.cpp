#include "core/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>

#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>

#include "tests/thread_variable.h"

namespace convoy::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Seconds that this process's threads have computed.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(ThreadPool, RunsEveryTurnOnceForAnyCountAndNumberOfThreads) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 3, 7, 31, 32, 33, 1000, 12345}) {
      std::vector<std::atomic<int>> turns(static_cast<std::size_t>(count));
      pool.for_each(count, [&](std::int64_t i) { ++turns[static_cast<std::size_t>(i)]; });
      for (const auto& turn : turns) ASSERT_EQ(turn, 1) << count << " turns, " << threads << " threads";
    }
  }
}

// What turns wrote is there when the loop is over, without any atomic of theirs; and loops follow each other
// closely enough for helpers to come late to most of them.
TEST(ThreadPool, ResultsAreThereAfterEachOfManyShortLoops) {
  ThreadPool pool(3);
  std::vector<std::int64_t> values(20);
  for (std::int64_t round = 1; round <= 20000; ++round) {
    pool.for_each(std::ssize(values), [&](std::int64_t i) { values[static_cast<std::size_t>(i)] += i; });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), std::int64_t{0}), round * 190) << round;
  }
}

TEST(ThreadPool, HelpersTakeTheirShareAndStayWithinTheLimit) {
  ThreadPool pool(3);
  std::mutex mutex;
  const auto threads_of_loop = [&] {
    std::set<std::thread::id> seen;
    pool.for_each(48, [&](std::int64_t) {
      std::this_thread::sleep_for(2ms);
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    return seen.size();
  };
  EXPECT_EQ(threads_of_loop(), 3U);
  pool.limit(2);
  EXPECT_LE(threads_of_loop(), 2U);
  pool.limit(1);
  EXPECT_EQ(threads_of_loop(), 1U);
  pool.limit(100);
  EXPECT_EQ(pool.threads(), 3);
  EXPECT_EQ(threads_of_loop(), 3U);
}

// A thread that has no core, a helper or the caller, is not waited for: the others do its part. Fails where
// parts are fixed.
TEST(ThreadPool, APartWhoseThreadIsHeldUpIsDoneByTheOthers) {
  const std::thread::id caller = std::this_thread::get_id();
  for (const bool hold_caller : {false, true}) {
    ThreadPool pool(2);
    std::atomic<int> others = 0;
    const auto end = Clock::now() + 10s;
    pool.for_each(32, [&](std::int64_t) {
      if ((std::this_thread::get_id() == caller) == hold_caller) {
        // This turn ends when all others are through.
        while (others < 31 && Clock::now() < end) std::this_thread::sleep_for(1ms);
        EXPECT_EQ(others, 31) << (hold_caller ? "the caller is held up" : "the helper is held up");
      } else {
        std::this_thread::sleep_for(5ms);
      }
      ++others;
    });
  }
}

// Neither helpers between two loops nor the caller that waits for a helper's last turn.
TEST(ThreadPool, WaitingThreadsSleep) {
  ThreadPool pool(4);
  pool.for_each(64, [](std::int64_t) { std::this_thread::sleep_for(1ms); });
  double before = cpu_seconds();
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(cpu_seconds() - before, 0.1) << "between two loops";

  before = cpu_seconds();
  pool.for_each(4, [](std::int64_t i) { std::this_thread::sleep_for(i == 3 ? 300ms : 0ms); });
  EXPECT_LT(cpu_seconds() - before, 0.1) << "at the end of a loop";
}

// Others may still be at work on what unwinding would take away.
TEST(ThreadPoolDeathTest, ATurnThatThrowsEndsTheProgram) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto throw_in_a_loop = [] {
    const std::thread::id caller = std::this_thread::get_id();
    ThreadPool(2).for_each(100, [&](std::int64_t) {
      if (std::this_thread::get_id() == caller) throw std::runtime_error("a turn threw");
      std::this_thread::sleep_for(1ms);
    });
  };
  EXPECT_DEATH(throw_in_a_loop(), "a turn threw");
}

TEST(ThreadPool, HasAThreadPerCoreOrAsManyAsTheVariableSays) {
  ThreadVariable variable(5);
  EXPECT_EQ(default_threads(), 5);
  setenv("OMP_NUM_THREADS", "3,2", 1);
  EXPECT_EQ(default_threads(), 3);
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  for (const char* nothing : {"", "0", "many"}) {
    setenv("OMP_NUM_THREADS", nothing, 1);
    EXPECT_EQ(default_threads(), CPU_COUNT(&before)) << nothing;
  }
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core) {
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(default_threads(), 1);
  sched_setaffinity(0, sizeof before, &before);
}

}  // namespace
}  // namespace convoy::testing
