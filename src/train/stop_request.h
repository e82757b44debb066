// Signals that ask a run to stop, as a flag.
#pragma once

#include <csignal>
#include <vector>

namespace convoy {

/// While it lives, SIGUSR1, SIGTERM, SIGINT and SIGHUP set a flag and do nothing else; a second SIGINT ends
/// the process as if there were no handler. A SIGHUP that was ignored before, as nohup does, stays ignored.
/// SIGXFSZ is ignored: a file-size limit then fails a write, as a full disk does. A process may have one such
/// object at a time.
///
/// Under Open MPI a terminal's Ctrl-C reaches mpirun alone. It sends its ranks SIGCONT at once, SIGTERM after
/// a second and SIGKILL after another one (odls_base_sigkill_timeout). So SIGCONT from there sets the flag,
/// too: a rank then has twice the time to write a checkpoint.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// Whether one of the signals has come since this object was made.
  bool made() const;
  /// Whether it was SIGTERM, which launchers and batch systems let SIGKILL follow.
  bool is_final() const;

 private:
  void handle(int signal, void (*handler)(int, siginfo_t*, void*));
  void replace(int signal, const struct sigaction& action);

  struct Before {
    int signal;
    struct sigaction action;
  };
  std::vector<Before> before_;
};

}  // namespace convoy
