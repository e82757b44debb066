// What benchmarks of whole steps share: a session on random images, and rounds of steps timed over ranks.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/session/session.h"

namespace convoy {

/// `count` images of random bytes with random labels, all of them for training.
Dataset random_dataset(const FeatureShape& image, int classes, int count);

/// A session on one global batch of random images, its epoch begun: resident, or staged over and over; with
/// data.resident: false and a source of pictures, on these.
/// Collective.
std::unique_ptr<Session> make_bench_session(const Config& config, const RankEnvironment& ranks);

/// Runs steps of an engine, which `step` queues one at a time.
class Stepper {
 public:
  Stepper(Engine& engine, const RankEnvironment& ranks, std::function<void()> step)
      : engine_(engine), ranks_(ranks), step_(std::move(step)) {}
  /// This rank's seconds from a common start until its `steps` are through.
  double run(int steps);

 private:
  Engine& engine_;
  const RankEnvironment& ranks_;
  std::function<void()> step_;
};

/// Seconds per step: medians of several rounds.
struct Timing {
  double slowest_rank, this_rank;
  std::vector<double> rounds;  ///< of the slowest rank in each
  int steps;                   ///< of each round
};

/// Rounds of all steppers in turn, so that what slows the machine for a while slows all; the first one's take
/// about `seconds`.
std::vector<Timing> time_steps(std::span<Stepper> steppers, const RankEnvironment& ranks, double seconds);

/// Seconds since then.
double since(std::chrono::steady_clock::time_point start);
/// The largest of all ranks' times.
double slowest(const RankEnvironment& ranks, double seconds);

}  // namespace convoy
