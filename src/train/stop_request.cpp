#include "src/train/stop_request.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include "src/core/error.h"

namespace convoy {
namespace {

// A handler has no argument of ours: this flag is what it needs, and all there is.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "handlers may not lock");

void request_stop(int signal) {
  stop_requested.store(true, std::memory_order_relaxed);
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);  // for people who press it again
}

}  // namespace

StopRequest::StopRequest() {
  stop_requested = false;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) handle(signal, request_stop);
  handle(SIGXFSZ, SIG_IGN);
}

void StopRequest::handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
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
