#include "comm/departure.h"

#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "comm/launcher.h"

namespace convoy {
namespace {

using namespace std::chrono_literals;

constexpr auto until_it_is_read = 100ms;  // mpirun may drop what it has not read by the time a rank is gone
constexpr auto until_it_sleeps = 30ms;    // mpirun, after the end of a rank or a signal

}  // namespace

void depart(const std::vector<ProcessIdentity>& lost, ExitCode code) {
  ::signal(SIGTERM, SIG_IGN);  // mpirun's, between here and the end
  std::this_thread::sleep_for(until_it_is_read);
  bool killed = false;
  for (const ProcessIdentity& process : lost) {
    if (state_of(process) == ProcessState::alive && is_stopped(process.pid))
      killed |= ::kill(static_cast<pid_t>(process.pid), SIGKILL) == 0;
  }
  // Where a rank has ended, mpirun sends the others SIGCONT, SIGTERM and SIGKILL. Before each of the last two
  // it sleeps for a second (odls_base_sigkill_timeout), which a SIGCHLD cuts short. The end of this process
  // makes one of them come at once, a SIGCHLD from here the other. To mpirun it says no more than: look
  // whether a child has ended.
  if (const std::int64_t launcher = open_mpi_launcher(); killed && launcher > 0) {
    std::this_thread::sleep_for(until_it_sleeps);
    ::kill(static_cast<pid_t>(launcher), SIGCHLD);
    std::this_thread::sleep_for(until_it_sleeps);
  }
  std::_Exit(static_cast<int>(code));
}

}  // namespace convoy
