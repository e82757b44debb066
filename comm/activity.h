// What a rank is doing. Its watchdog reports it to the other ranks, and the console shows it.
#pragma once

#include <atomic>
#include <cstdint>

namespace convoy {

/// Written by whoever does the work, read by the threads of watchdog and console.
class Activity {
 public:
  /// What doing() says between two steps.
  static constexpr const char* training = "training";

  /// A training step begins.
  void begin_step(std::int64_t step) {
    step_ = step;
    doing_ = training;
    advance();
  }
  /// Something else begins; `what` is a literal such as "loading data".
  void begin(const char* what) { doing_ = what; }
  /// A piece of other long work is done, such as an evaluation batch.
  void advance() { ++advances_; }

  const char* doing() const { return doing_; }
  std::int64_t step() const { return step_; }
  std::uint64_t advances() const { return advances_; }
  bool is_waiting() const { return waiting_ > 0; }

  /// While it exists, this rank waits for others: if nothing progresses, the fault is elsewhere.
  class Waiting {
   public:
    explicit Waiting(Activity& activity) : activity_(activity) { ++activity_.waiting_; }
    ~Waiting() { --activity_.waiting_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    Activity& activity_;
  };

 private:
  std::atomic<const char*> doing_{"launching"};
  std::atomic<std::int64_t> step_{0};
  std::atomic<std::uint64_t> advances_{0};
  std::atomic<int> waiting_{0};
};

}  // namespace convoy
