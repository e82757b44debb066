#include "src/bench/step_bench.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "comm/agree.h"
#include "src/bench/figures.h"
#include "src/core/random.h"
#include "src/train/setup.h"

namespace convoy {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The largest of all ranks' times.
double slowest(const RankEnvironment& ranks, double seconds) {
  return static_cast<double>(ranks.max(static_cast<std::int64_t>(seconds * 1e9))) * 1e-9;
}

/// Runs steps on the one batch there is.
class Stepper {
 public:
  Stepper(Session& session, const RankEnvironment& ranks) : session_(session), ranks_(ranks) {
    state_.learning_rate = 1e-3f;  // small, so that random labels do not drive the weights away
  }
  /// This rank's seconds from a common start until its `steps` are through.
  double run(int steps) {
    session_.engine().synchronize();
    ranks_.max(0);  // nobody starts before everybody is here
    const auto start = Clock::now();
    for (int i = 0; i < steps; ++i) {
      session_.train_batch(0, state_);
      ++state_.step;
    }
    session_.engine().synchronize();
    return since(start);
  }

 private:
  Session& session_;
  const RankEnvironment& ranks_;
  StepState state_;
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

Dataset random_dataset(const FeatureShape& image, int classes, int count) {
  Dataset data;
  data.image = image;
  data.classes = classes;
  data.images.resize(static_cast<std::size_t>(count * image.count()));
  for (std::size_t i = 0; i < data.images.size(); ++i) {
    const Random4 words = random4(1, Purpose::split, 1, i / 16);  // four bytes of each word
    data.images[i] = static_cast<std::uint8_t>(words.v[i / 4 % 4] >> (i % 4 * 8));
  }
  for (int i = 0; i < count; ++i) {
    const std::uint32_t word = random4(1, Purpose::split, 2, static_cast<std::uint64_t>(i)).v[0];
    data.labels.push_back(
        static_cast<std::int32_t>(uniform_below(word, static_cast<std::uint32_t>(classes))));
    data.train.push_back(i);
  }
  return data;
}

StepFigures bench_step(const Config& wanted, const RankEnvironment& ranks, double seconds,
                       Clock::time_point process_start) {
  constexpr int rounds = 5, warm_up = 3;
  Config config = wanted;
  config.data.resident = DataConfig::Resident::yes;
  StepFigures figures;
  Plan plan;
  {
    std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
    Dataset data;
    agree(ranks, [&] {
      const Graph graph = build_graph(config.model);
      data = random_dataset(graph.input(), graph.classes(), config.train.global_batch);
    });
    Session session(config, std::move(data), std::move(engine), ranks);
    session.initialize();
    session.begin_epoch(1);
    Stepper stepper(session, ranks);
    stepper.run(1);
    figures.first_step_seconds = slowest(ranks, since(process_start));

    // How many steps a round has, all ranks must agree on.
    const double step_seconds = slowest(ranks, stepper.run(warm_up)) / warm_up;
    figures.rounds = rounds;
    figures.steps = static_cast<int>(std::clamp(seconds / rounds / step_seconds, 1.0, 1e6));
    std::vector<double> mine, all;
    for (int round = 0; round < rounds; ++round) {
      mine.push_back(stepper.run(figures.steps) / figures.steps);
      all.push_back(slowest(ranks, mine.back()));
    }
    figures.step_seconds = median(std::move(all));
    const int images = shard_of(config.train.global_batch, ranks.rank(), ranks.size()).count;
    figures.ranks = gather(ranks, images, median(std::move(mine)));

    plan = session.plans().training.at(config.train.global_batch);
    figures.engine = session.engine().describe();
    figures.arenas = session.plans().arenas;
  }
  figures.operands = operands_of(plan);
  figures.flops = flops_of_step(plan, ranks);
  figures.ceilings = measure_ceilings(config, figures.operands, ranks);
  figures.limit_seconds = figures.ceilings.seconds(plan);
  return figures;
}

}  // namespace convoy
