// Signals that ask a run to stop set a flag, and nothing else.
#include "src/train/stop_request.h"

#include <gtest/gtest.h>

namespace convoy::testing {
namespace {

/// What is done about a signal.
void (*handler_of(int signal))(int) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

TEST(StopRequests, AreMadeBySignals) {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) {
    const auto before = handler_of(signal);
    {
      const StopRequest stop;
      EXPECT_FALSE(stop.made()) << "one before is forgotten";
      std::raise(signal);
      EXPECT_TRUE(stop.made()) << signal;
    }
    EXPECT_EQ(handler_of(signal), before) << signal;
  }
}

TEST(StopRequestsDeathTest, ASecondInterruptEndsAtOnce) {
  EXPECT_EXIT(
      {
        const StopRequest stop;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopRequestsDeathTest, OtherSignalsMayComeAgain) {
  EXPECT_EXIT(
      {
        const StopRequest stop;
        for (const int signal : {SIGUSR1, SIGUSR1, SIGTERM, SIGTERM, SIGXFSZ}) std::raise(signal);
        std::_Exit(stop.made() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace convoy::testing
