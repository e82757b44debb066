#include "src/bench/step_bench.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

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

/// A staged epoch is so long that the halt at its beginning, where nothing is staged yet, does not count.
constexpr int staged_batches = 1000;

/// A session on one global batch of random images: resident, or staged over and over.
std::unique_ptr<Session> make_bench_session(const Config& config, const RankEnvironment& ranks) {
  std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  Dataset data;
  agree(ranks, [&] {
    const Graph graph = build_graph(config.model);
    data = random_dataset(graph.input(), graph.classes(), config.train.global_batch);
  });
  if (config.data.resident == DataConfig::Resident::no) {
    const std::vector<std::int32_t> batch = data.train;
    for (int i = 1; i < staged_batches; ++i) data.train.insert(data.train.end(), batch.begin(), batch.end());
  }
  auto session = std::make_unique<Session>(config, std::move(data), std::move(engine), ranks);
  session->initialize();
  session->begin_epoch(1);
  return session;
}

/// Runs steps on the batches of the epoch, again and again.
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
      session_.train_batch(next_batch(), state_);
      ++state_.step;
    }
    session_.engine().synchronize();
    return since(start);
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
  const RankEnvironment& ranks_;
  StepState state_;
  int batch_ = 0;  ///< the next one
};

/// Medians of several rounds, per step.
struct Timing {
  double slowest_rank, this_rank;
  int rounds, steps;  ///< steps of each round
};

/// Rounds of all steppers in turn, so that what slows the machine for a while slows all; the first one's take
/// about `seconds`.
std::vector<Timing> time_steps(std::span<Stepper> steppers, const RankEnvironment& ranks, double seconds) {
  constexpr int rounds = 5, warm_up = 3;
  // How many steps a round has, all ranks must agree on.
  std::vector<double> step_seconds;
  for (Stepper& stepper : steppers) step_seconds.push_back(slowest(ranks, stepper.run(warm_up)) / warm_up);
  const auto steps = static_cast<int>(std::clamp(seconds / rounds / step_seconds.front(), 1.0, 1e6));
  std::vector<std::vector<double>> mine(steppers.size()), all(steppers.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < steppers.size(); ++i) {
      mine[i].push_back(steppers[i].run(steps) / steps);
      all[i].push_back(slowest(ranks, mine[i].back()));
    }
  }
  std::vector<Timing> timings;
  for (std::size_t i = 0; i < steppers.size(); ++i)
    timings.push_back({median(std::move(all[i])), median(std::move(mine[i])), rounds, steps});
  return timings;
}

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
  using Resident = DataConfig::Resident;
  Config config = wanted;
  if (config.data.resident != Resident::no) config.data.resident = Resident::yes;
  StepFigures figures;
  Plan plan;
  {
    const std::unique_ptr<Session> session = make_bench_session(config, ranks);
    std::vector<Stepper> steppers{{*session, ranks}};
    steppers[0].run(1);
    figures.first_step_seconds = slowest(ranks, since(process_start));

    std::unique_ptr<Session> resident;
    if (!session->plans().resident) {
      config.data.resident = Resident::yes;
      resident = make_bench_session(config, ranks);
      steppers.emplace_back(*resident, ranks);
    }
    const std::vector<Timing> timings = time_steps(steppers, ranks, seconds);
    figures.rounds = timings[0].rounds;
    figures.steps = timings[0].steps;
    figures.step_seconds = timings[0].slowest_rank;
    if (resident) figures.resident_step_seconds = timings[1].slowest_rank;
    const int images = shard_of(config.train.global_batch, ranks.rank(), ranks.size()).count;
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
