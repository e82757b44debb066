#include "comm/communication_thread.h"

#include <utility>

#include "comm/wait.h"
#include "core/signal_block.h"

namespace convoy {
namespace {

// The part of what the jobs have taken so far that a sleep between two questions lasts (PatientWait): a small
// one while join() waits for their end. Only such a wait begins with questions without sleeps: sums of a few
// bytes, which forward waits for, take less time than to fall asleep and wake.
constexpr int part = 4, part_awaited = 64;

}  // namespace

CommunicationThread::CommunicationThread(std::function<bool()> progress)
    : progress_(std::move(progress)), thread_([this] {
        const SignalBlock block;
        shorten_naps();
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
  PatientWait wait;  // since the jobs under way began, or join() waits for them
  while (true) {
    const bool was_awaited = awaited_;
    const auto news = [&] { return stop_ || !queue_.empty() || awaited_ != was_awaited; };
    bool woken = true;
    if (idle_) {
      wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    } else {
      const auto nap = awaited_ ? wait.nap(part_awaited) : PatientWait::nap_after(wait.taken(), part);
      woken = nap.count() == 0 ? news() : wake_.wait_for(lock, nap, news);
    }
    if (stop_) return;
    if (woken) wait.restart();
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
