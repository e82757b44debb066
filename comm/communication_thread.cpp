#include "comm/communication_thread.h"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace convoy {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// Sleeps between two questions last a part of what the jobs have taken so far, so that their end is noticed
// late by no more than that part: a small one while join() waits for it.
constexpr microseconds shortest{10}, longest{1000};
constexpr int part = 4, part_awaited = 64;
// At the beginning of such a wait there are none: sums of a few bytes, which forward waits for, take less
// time than to fall asleep and wake, and the caller's core has nothing else to do.
constexpr microseconds awake{100};

/// Signals are for the thread that computes; and sleeps are as short as they say, not rounded up to 50 us.
void prepare_thread() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  prctl(PR_SET_TIMERSLACK, 1000UL);  // nanoseconds
}

}  // namespace

CommunicationThread::CommunicationThread(std::function<bool()> progress)
    : progress_(std::move(progress)), thread_([this] {
        prepare_thread();
        run();
      }) {}

CommunicationThread::~CommunicationThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void CommunicationThread::start(std::function<void()> begin) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(begin));
  }
  wake_.notify_one();
}

void CommunicationThread::join() {
  std::unique_lock lock(mutex_);
  const auto settled = [&] { return failure_ != nullptr || (idle_ && queue_.empty()); };
  if (!settled()) {
    awaited_ = true;
    wake_.notify_one();
    done_.wait(lock, settled);
    awaited_ = false;
  }
  if (failure_) std::rethrow_exception(failure_);
}

void CommunicationThread::run() {
  std::unique_lock lock(mutex_);
  Clock::time_point since;  // the jobs under way began, or the wait for them
  while (true) {
    const bool was_awaited = awaited_;
    const auto news = [&] { return stop_ || !queue_.empty() || awaited_ != was_awaited; };
    const Clock::duration taken = Clock::now() - since;
    bool woken = true;
    if (idle_) {
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    } else if (awaited_ && taken < awake) {
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
      woken = news();
    } else {
      const Clock::duration sleep = taken / (awaited_ ? part_awaited : part);
      woken = wake_.wait_for(lock, std::clamp<Clock::duration>(sleep, shortest, longest), news);
    }
    if (stop_) return;
    if (woken) since = Clock::now();
    const std::vector<std::function<void()>> jobs = std::exchange(queue_, {});
    idle_ = false;
    lock.unlock();
    bool done = false;
    std::exception_ptr failure;
    try {
      for (const auto& begin : jobs) begin();
      done = progress_();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    idle_ = done;
    failure_ = failure;
    if (failure_ || (done && queue_.empty())) done_.notify_one();
    if (failure_) return;
  }
}

}  // namespace convoy
