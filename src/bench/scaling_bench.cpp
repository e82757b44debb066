#include "src/bench/scaling_bench.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "comm/agree.h"
#include "src/bench/bench_session.h"
#include "src/bench/figures.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

/// Both steps of a rank count are plans of one session, queued alike.
ScalingRow measure(const Config& config, const RankEnvironment& ranks, double seconds) {
  const std::unique_ptr<Session> session = make_bench_session(config, ranks);
  Engine& engine = session->engine();
  const int batch = config.train.global_batch;
  const Plan& plan = session->plans().training.at(batch);
  StepState state;
  state.seed = config.seed;
  state.epoch = 1;
  state.learning_rate = 0;  // without their sums ranks would drift apart
  const auto stepper_of = [&](int handle) {
    return Stepper(engine, ranks, [&engine, handle, state]() mutable {
      engine.run(handle, state);
      ++state.step;
    });
  };
  std::vector<Stepper> steppers{stepper_of(engine.load(plan))};
  if (ranks.size() > 1) steppers.push_back(stepper_of(engine.load(without_sums(plan))));
  const std::vector<Timing> timings = time_steps(steppers, ranks, seconds);

  ScalingRow row{ranks.size(), batch, timings[0].slowest_rank, std::nullopt};
  if (ranks.size() > 1) {
    std::vector<double> exposed;  // of rounds side by side
    for (std::size_t i = 0; i < timings[0].rounds.size(); ++i)
      exposed.push_back(1 - timings[1].rounds[i] / timings[0].rounds[i]);
    row.exposed = median(std::move(exposed));
  }
  return row;
}

/// The same on the first `count` ranks, known to all.
ScalingRow measure_first(Config config, int count, int batch, const RankEnvironment& ranks, double seconds) {
  config.train.global_batch = batch;
  config.data.resident = DataConfig::Resident::yes;
  ScalingRow row;
  std::optional<AgreedError> problem;  // of those that work; the others have yet to hear of it
  {
    const RankEnvironment group = ranks.first(count);
    try {
      if (ranks.rank() < count) row = measure(config, group, seconds);
    } catch (const AgreedError& error) {
      problem = error;
    }
    ranks.rest();
  }
  agree(ranks, [&] {
    if (problem) throw *problem;
  });
  static_assert(std::is_trivially_copyable_v<ScalingRow>);
  ranks.broadcast(&row, sizeof row);
  return row;
}

}  // namespace

double efficiency(const ScalingRow& row, const ScalingRow& one_rank) {
  return row.images_per_second() / (row.ranks * one_rank.images_per_second());
}

std::vector<int> rank_counts(int ranks) {
  std::vector<int> counts;
  for (int count = 1; count < ranks; count *= 2) counts.push_back(count);
  counts.push_back(ranks);
  return counts;
}

Plan without_sums(Plan plan) {
  std::erase_if(plan.steps, [](const Step& step) {
    return std::holds_alternative<AllReduce>(step.call) || std::holds_alternative<Join>(step.call);
  });
  plan.name += " without sums over ranks";
  return plan;
}

ScalingFigures bench_scaling(const Config& config, const RankEnvironment& ranks, double seconds) {
  ScalingFigures figures;
  {
    const std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
    figures.engine = engine->describe();
    // A rank's threads are its share of the cores, and few ranks would get larger ones.
    if (ranks.size() > 1) setenv("OMP_NUM_THREADS", std::to_string(engine->threads()).c_str(), 0);
  }
  const int batch = config.train.global_batch;
  for (const int count : rank_counts(ranks.size())) {
    figures.weak.push_back(measure_first(config, count, count * batch, ranks, seconds));
    if (count == 1)
      figures.strong.push_back(figures.weak.front());
    else if (count <= batch)
      figures.strong.push_back(measure_first(config, count, batch, ranks, seconds));
  }
  return figures;
}

}  // namespace convoy
