// Threads that signals pass by.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace convoy {

/// While it lives, the calling thread gets no signals. Threads that it starts meanwhile never get any:
/// signals are for the thread that works.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace convoy
