#include "src/bench/bench_session.h"

#include <algorithm>

#include "comm/agree.h"
#include "core/random.h"
#include "src/bench/figures.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

using Clock = std::chrono::steady_clock;

/// A staged epoch is so long that the halt at its beginning, where nothing is staged yet, does not count.
constexpr int staged_batches = 1000;

}  // namespace

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double slowest(const RankEnvironment& ranks, double seconds) {
  return static_cast<double>(ranks.max(static_cast<std::int64_t>(seconds * 1e9))) * 1e-9;
}

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

std::unique_ptr<Session> make_bench_session(const Config& config, const RankEnvironment& ranks) {
  std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  Dataset data;
  agree(ranks, [&] {
    const Graph graph = build_graph(config.model);
    if (is_streamed(config.data.source) && config.data.resident == DataConfig::Resident::no) {
      data = load_dataset(config.data, config.seed);
      data.validation.clear();
      data.test.clear();
    } else {
      data = random_dataset(graph.input(), graph.classes(), config.train.global_batch);
    }
  });
  if (config.data.resident == DataConfig::Resident::no) {
    const auto wanted = static_cast<std::size_t>(config.train.global_batch) * staged_batches;
    for (std::size_t i = 0; data.train.size() < wanted; ++i) data.train.push_back(data.train[i]);
    data.train.resize(wanted);
  }
  auto session = std::make_unique<Session>(config, std::move(data), std::move(engine), ranks);
  session->initialize();
  session->begin_epoch(1);
  return session;
}

double Stepper::run(int steps) {
  engine_.synchronize();
  ranks_.max(0);  // nobody starts before everybody is here
  const auto start = Clock::now();
  for (int i = 0; i < steps; ++i) step_();
  engine_.synchronize();
  return since(start);
}

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
    timings.push_back({median(all[i]), median(mine[i]), all[i], steps});
  return timings;
}

}  // namespace convoy
