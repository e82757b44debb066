#include "src/train/stop_request.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "comm/launcher.h"
#include "core/error.h"

namespace convoy {
namespace {

// Signal handlers take no argument of ours, so their state is global.
std::atomic<bool> stop_requested{false}, stop_is_final{false};
std::atomic<pid_t> launcher{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free,
              "handlers may not lock");

void request_stop(int signal, siginfo_t*, void*) {
  stop_requested.store(true, std::memory_order_relaxed);
  if (signal == SIGTERM) stop_is_final.store(true, std::memory_order_relaxed);
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);  // so that a second Ctrl-C ends the process
}

/// A SIGCONT from another process only continues a stopped process.
void heed_launcher(int, siginfo_t* info, void*) {
  if (info->si_code == SI_USER && info->si_pid == launcher.load(std::memory_order_relaxed))
    stop_requested.store(true, std::memory_order_relaxed);
}

}  // namespace

StopRequest::StopRequest() {
  stop_requested = stop_is_final = false;
  const bool continues = std::getenv("OMPI_MCA_orte_forward_job_control") != nullptr;  // SIGCONT means: go on
  launcher = continues ? 0 : static_cast<pid_t>(open_mpi_launcher());
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) handle(signal, request_stop);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) handle(SIGHUP, request_stop);  // nohup ignores it: the run goes on
  if (launcher != 0) handle(SIGCONT, heed_launcher);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  replace(SIGXFSZ, ignore);
}

void StopRequest::handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  replace(signal, action);
}

void StopRequest::replace(int signal, const struct sigaction& action) {
  Before before{signal, {}};
  if (sigaction(signal, &action, &before.action) != 0)
    fail("cannot handle signal {}: {}", signal, std::strerror(errno));
  before_.push_back(before);
}

StopRequest::~StopRequest() {
  for (const Before& before : before_) sigaction(before.signal, &before.action, nullptr);
}

bool StopRequest::made() const {
  return stop_requested.load(std::memory_order_relaxed);
}

bool StopRequest::is_final() const {
  return stop_is_final.load(std::memory_order_relaxed);
}

}  // namespace convoy
