// Signals that ask a run to stop, as a flag.
#pragma once

#include <csignal>
#include <vector>

namespace convoy {

/// While it lives, SIGUSR1, SIGTERM and SIGINT set a flag and do nothing else; a second SIGINT ends the
/// process as if there were no handler. SIGXFSZ is ignored: a file-size limit fails a write, as a full disk
/// does. One at a time in a process.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// Whether one of the signals has come since this object was made.
  bool made() const;

 private:
  void handle(int signal, void (*handler)(int));

  struct Before {
    int signal;
    struct sigaction action;
  };
  std::vector<Before> before_;
};

}  // namespace convoy
