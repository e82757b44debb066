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

// Sleeps between two questions grow from the shortest to the longest.
constexpr microseconds shortest{10}, longest{500};
// While join() waits, this thread may have its core: sleeps stay short, and at first there are none, since
// sums of a few bytes, which forward waits for, take less time than to fall asleep and wake.
constexpr microseconds longest_awaited{50}, awake{100};

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
  microseconds sleep = shortest;
  Clock::time_point awake_until;
  while (true) {
    const bool was_awaited = awaited_;
    const auto news = [&] { return stop_ || !queue_.empty() || awaited_ != was_awaited; };
    bool woken = true;
    if (idle_) {
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    } else if (awaited_ && Clock::now() < awake_until) {
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
      woken = news();
    } else {
      woken = wake_.wait_for(lock, std::min(sleep, awaited_ ? longest_awaited : longest), news);
      sleep = std::min(2 * sleep, longest);
    }
    if (stop_) return;
    if (woken) {
      sleep = shortest;
      awake_until = Clock::now() + awake;
    }
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
