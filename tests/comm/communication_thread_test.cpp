// The thread that sums over ranks on CPUs, with jobs that the test itself completes.
#include "comm/communication_thread.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>

namespace convoy::testing {
namespace {

using namespace std::chrono_literals;

/// Seconds that this process's threads have computed.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(CommunicationThread, BeginsJobsInOrder) {
  std::vector<int> begun;  // the thread's until join() returns
  CommunicationThread thread([] { return true; });
  for (int i = 0; i < 1000; ++i) {
    thread.start([&begun, i] { begun.push_back(i); });
    if (i % 100 == 0) thread.join();
  }
  thread.join();
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(begun, expected);
}

// A job's result may be used after join(), no matter how long it takes: fails when join() does not wait.
TEST(CommunicationThread, JoinWaitsForWhatIsUnderWay) {
  std::atomic<bool> arrived = false;
  int result = 0;  // not atomic: join() alone makes it visible
  CommunicationThread thread([&] {
    if (!arrived) return false;
    result = 7;
    return true;
  });
  thread.start([] {});
  std::thread peer([&] {
    std::this_thread::sleep_for(30ms);
    arrived = true;
  });
  thread.join();
  EXPECT_TRUE(arrived);
  EXPECT_EQ(result, 7);
  peer.join();
}

TEST(CommunicationThread, ProceedsWhileTheCallerDoesSomethingElse) {
  std::atomic<int> asked = 0;
  CommunicationThread thread([&] { return ++asked >= 10; });
  thread.start([] {});
  for (const auto end = std::chrono::steady_clock::now() + 20s; asked < 10;) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::yield();
  }
  thread.join();
}

// Neither beside the caller's work nor while the caller waits.
TEST(CommunicationThread, DoesNotSpin) {
  for (const bool joins : {false, true}) {
    std::atomic<bool> arrived = false;
    CommunicationThread thread([&] { return arrived.load(); });
    thread.start([] {});
    std::thread peer([&] {
      std::this_thread::sleep_for(500ms);
      arrived = true;
    });
    const double before = cpu_seconds();
    if (joins) thread.join();
    peer.join();
    EXPECT_LT(cpu_seconds() - before, 0.1)
        << "of half a second, " << (joins ? "in join" : "beside the caller");
    thread.join();
  }
}

TEST(CommunicationThread, ErrorsReachEveryJoin) {
  bool begun_after = false;
  CommunicationThread thread([]() -> bool { throw std::runtime_error("the wire is cut"); });
  thread.start([] {});
  EXPECT_THROW(thread.join(), std::runtime_error);
  thread.start([&] { begun_after = true; });
  EXPECT_THROW(thread.join(), std::runtime_error);
  EXPECT_FALSE(begun_after);

  CommunicationThread refused([] { return true; });
  refused.start([] { throw std::runtime_error("no such buffer"); });
  EXPECT_THROW(refused.join(), std::runtime_error);
}

TEST(CommunicationThread, EndsWithoutWhatNeverArrives) {
  const auto start = std::chrono::steady_clock::now();
  {
    CommunicationThread thread([] { return false; });
    thread.start([] {});
    std::this_thread::sleep_for(5ms);
  }
  {
    const CommunicationThread unused([] { return true; });
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

}  // namespace
}  // namespace convoy::testing
