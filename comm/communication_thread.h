// A thread that polls operations which progress only when polled, such as MPI's non-blocking collectives.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace convoy {

/// Begins jobs in the order given and polls until they are done. It sleeps in between, so that it takes no
/// core from threads that compute. One thread calls start() and join().
class CommunicationThread {
 public:
  /// `progress` says whether every job begun so far is done. It and the jobs run on this thread alone.
  explicit CommunicationThread(std::function<bool()> progress);
  /// Gives up what is not done.
  ~CommunicationThread();
  CommunicationThread(const CommunicationThread&) = delete;
  CommunicationThread& operator=(const CommunicationThread&) = delete;

  /// Queues a job; `begin` must not wait for it. Returns at once.
  void start(std::function<void()> begin);
  /// Waits until all jobs are done. Rethrows what a job or `progress` threw; nothing is begun after that.
  void join();

 private:
  void run();

  const std::function<bool()> progress_;
  std::mutex mutex_;  ///< of all that follows
  std::condition_variable wake_, done_;
  std::vector<std::function<void()>> queue_;
  bool idle_ = true;      ///< no job is under way
  bool awaited_ = false;  ///< join() is waiting
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace convoy
