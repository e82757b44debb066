#include "src/session/stop_poll.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace convoy {

StopPoll::StopPoll(std::function<bool()> stop, Engine& engine, const RankEnvironment& ranks)
    : stop_(std::move(stop)), engine_(engine), ranks_(ranks) {}

void StopPoll::begin() {
  batches_ = 0;
  last_ = Clock::now();
}

bool StopPoll::says_stop() {
  if (!stop_ || batches_++ < until_next_) return false;
  engine_.synchronize();
  constexpr std::int64_t asked_to_stop = std::numeric_limits<std::int64_t>::max();
  const auto spent = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - last_);
  const std::int64_t slowest = ranks_.max(stop_() ? asked_to_stop : std::max<std::int64_t>(spent.count(), 1));
  if (slowest == asked_to_stop) return true;
  constexpr std::int64_t second = 1'000'000;
  until_next_ = std::clamp<std::int64_t>(until_next_ * second / slowest, 1, 1'000'000);
  batches_ = 1;  // the one that begins now
  last_ = Clock::now();
  return false;
}

}  // namespace convoy
