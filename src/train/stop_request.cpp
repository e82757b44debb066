#include "src/train/stop_request.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "core/error.h"

namespace convoy {
namespace {

// Signal handlers take no argument of ours, so their state is global.
std::atomic<bool> stop_requested{false};
std::atomic<pid_t> launcher{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free,
              "handlers may not lock");

void request_stop(int signal, siginfo_t*, void*) {
  stop_requested.store(true, std::memory_order_relaxed);
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);  // so that a second Ctrl-C ends the process
}

/// A SIGCONT from another process only continues a stopped process.
void heed_launcher(int, siginfo_t* info, void*) {
  if (info->si_code == SI_USER && info->si_pid == launcher.load(std::memory_order_relaxed))
    stop_requested.store(true, std::memory_order_relaxed);
}

/// The process that started this rank, 0 where it is not Open MPI's. Each rank, with what wraps it, is a
/// process group of its own; its leader is the launcher's child.
pid_t open_mpi_launcher() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return 0;
  if (std::getenv("OMPI_MCA_orte_forward_job_control") != nullptr) return 0;  // there SIGCONT means: go on
  std::ifstream file("/proc/" + std::to_string(getpgrp()) + "/stat");
  file.ignore(std::numeric_limits<std::streamsize>::max(), ')');  // "pid (name) state parent ..."
  std::string state;
  pid_t parent = 0;
  file >> state >> parent;
  return file && parent > 1 ? parent : 0;
}

}  // namespace

StopRequest::StopRequest() {
  stop_requested = false;
  launcher = open_mpi_launcher();
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

}  // namespace convoy
