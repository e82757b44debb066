// Whether to go on with work that ranks do batch by batch.
#pragma once

#include <chrono>
#include <functional>

#include "comm/rank_environment.h"
#include "src/engine/engine.h"

namespace convoy {

/// Ranks ask each other about once a second, at the same batches on each: asking waits for the device and for
/// the slowest of them.
class StopPoll {
 public:
  /// `stop`: whether this rank has been asked to; empty on every rank where nobody can.
  StopPoll(std::function<bool()> stop, Engine& engine, const RankEnvironment& ranks);

  /// A pass over batches begins, which take as long as those of the last pass.
  void begin();
  /// Before each batch. True, on every rank, where `stop` was true on one. Collective.
  bool says_stop();

 private:
  using Clock = std::chrono::steady_clock;

  const std::function<bool()> stop_;
  Engine& engine_;
  const RankEnvironment& ranks_;
  Clock::time_point last_{};     ///< when they asked, or the pass began
  std::int64_t batches_ = 0;     ///< begun since then
  std::int64_t until_next_ = 1;  ///< so many batches
};

}  // namespace convoy
