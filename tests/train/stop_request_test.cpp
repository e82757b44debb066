// Signals that ask a run to stop set a flag, and nothing else.
#include "src/train/stop_request.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace convoy::testing {
namespace {

/// What is done about a signal.
void (*handler_of(int signal))(int) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

TEST(StopRequests, AreMadeBySignals) {
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGHUP}) {
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

TEST(StopRequests, LeaveAHangupIgnoredUnderNohup) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const StopRequest stop;
    EXPECT_EQ(handler_of(SIGHUP), SIG_IGN);
    std::raise(SIGHUP);
    EXPECT_FALSE(stop.made());
  }
  std::signal(SIGHUP, before);
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

// The process sends itself SIGCONT, which is not its launcher's, and then gets one of that.
TEST(StopRequestsDeathTest, SigcontIsOneOfOpenMpisLauncherAlone) {
  EXPECT_EXIT(
      {
        setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
        unsetenv("OMPI_MCA_orte_forward_job_control");
        const pid_t rank = fork();
        if (rank == 0) {
          setpgid(0, 0);
          const StopRequest stop;
          kill(getpid(), SIGCONT);
          if (stop.made()) std::_Exit(2);
          kill(getpid(), SIGSTOP);
          std::_Exit(stop.made() ? 0 : 1);
        }
        int status = 0;
        waitpid(rank, &status, WUNTRACED);
        if (WIFEXITED(status)) std::_Exit(WEXITSTATUS(status));
        kill(rank, SIGCONT);
        waitpid(rank, &status, 0);
        std::_Exit(WEXITSTATUS(status));
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace convoy::testing
