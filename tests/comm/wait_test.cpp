#include "comm/wait.h"

#include <gtest/gtest.h>
#include <time.h>

namespace convoy::testing {
namespace {

using namespace std::chrono_literals;

TEST(PatientWait, SpinsNoLongerThanOthersShouldWait) {
  const PatientWait wait;
  while (wait.taken() < longest_spin) {
  }
  EXPECT_GT(wait.nap(16), 0ns);
}

TEST(PatientWait, NapsGrowWithTheWaitAndHaveBounds) {
  EXPECT_EQ(PatientWait::nap_after(0us, 16), 10us);
  EXPECT_EQ(PatientWait::nap_after(16ms, 64), 250us);
  EXPECT_EQ(PatientWait::nap_after(1600us, 16), 100us);
  EXPECT_EQ(PatientWait::nap_after(10s, 16), 1ms);
}

TEST(PatientWait, LeavesTheCoreToOthers) {
  const auto cpu = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto end = PatientWait::Clock::now() + 300ms;
  const auto before = cpu();
  for (PatientWait wait; PatientWait::Clock::now() < end;) wait.pause();
  EXPECT_LT(cpu() - before, 60ms);
}

}  // namespace
}  // namespace convoy::testing
