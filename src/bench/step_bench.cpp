#include "src/bench/step_bench.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "src/bench/bench_session.h"

namespace convoy {
namespace {

using Clock = std::chrono::steady_clock;

/// Trains on the batches of the epoch, again and again.
class Trainee {
 public:
  explicit Trainee(Session& session) : session_(session) {
    state_.learning_rate = 1e-3f;  // small, so that random labels do not drive the weights away
  }
  void operator()() {
    session_.train_batch(next_batch(), state_);
    ++state_.step;
  }

 private:
  int next_batch() {
    if (batch_ == session_.steps_per_epoch()) {
      batch_ = 0;
      if (!session_.plans().resident) session_.begin_epoch(1);
    }
    return batch_++;
  }

  Session& session_;
  StepState state_;
  int batch_ = 0;  ///< the next one
};

std::vector<RankFigures> gather(const RankEnvironment& ranks, int images, double step_seconds) {
  std::vector<double> values(2 * static_cast<std::size_t>(ranks.size()));
  const auto mine = 2 * static_cast<std::size_t>(ranks.rank());
  values[mine] = images, values[mine + 1] = step_seconds;
  ranks.sum(values);
  std::vector<RankFigures> figures;
  for (std::size_t i = 0; i < values.size(); i += 2) {
    figures.push_back({static_cast<int>(values[i]), values[i + 1]});
  }
  return figures;
}

std::int64_t flops_of_step(const Plan& plan, const RankEnvironment& ranks) {
  std::array<double, 1> sum{};
  for (const Step& step : plan.steps) sum[0] += static_cast<double>(flops_of(step.call));
  ranks.sum(sum);
  return static_cast<std::int64_t>(sum[0]);
}

}  // namespace

StepFigures bench_step(const Config& wanted, const RankEnvironment& ranks, double seconds,
                       Clock::time_point process_start) {
  using Resident = DataConfig::Resident;
  Config config = wanted;
  if (config.data.resident != Resident::no) config.data.resident = Resident::yes;
  StepFigures figures;
  Plan plan;
  {
    const std::unique_ptr<Session> session = make_bench_session(config, ranks);
    std::vector<Stepper> steppers{{session->engine(), ranks, Trainee(*session)}};
    steppers[0].run(1);
    figures.first_step_seconds = slowest(ranks, since(process_start));

    std::unique_ptr<Session> resident;
    if (!session->plans().resident) {
      config.data.resident = Resident::yes;
      resident = make_bench_session(config, ranks);
      steppers.emplace_back(resident->engine(), ranks, Trainee(*resident));
    }
    const std::vector<Timing> timings = time_steps(steppers, ranks, seconds);
    figures.rounds = static_cast<int>(timings[0].rounds.size());
    figures.steps = timings[0].steps;
    figures.step_seconds = timings[0].slowest_rank;
    if (resident) figures.resident_step_seconds = timings[1].slowest_rank;
    const int images = images_of(config.train, config.train.global_batch, ranks.rank(), ranks.size());
    figures.ranks = gather(ranks, images, timings[0].this_rank);

    plan = session->plans().training.at(config.train.global_batch);
    figures.engine = session->engine().describe();
    figures.arenas = session->plans().arenas;
  }
  figures.operands = operands_of(plan);
  figures.flops = flops_of_step(plan, ranks);
  figures.ceilings = measure_ceilings(config, figures.operands, ranks);
  figures.limit_seconds = figures.ceilings.seconds(plan);
  return figures;
}

}  // namespace convoy
