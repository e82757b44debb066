#include "src/bench/allreduce_bench.h"

#include <algorithm>
#include <chrono>

#include "comm/agree.h"
#include "src/bench/figures.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

constexpr std::int64_t smallest = 256;

/// Sums of a plan, one after the other, so that what starts a graph is shared by many; large ones last
/// longer than that.
int sums_of_plan(std::int64_t bytes) {
  return bytes <= (1 << 20) ? 20 : 4;
}

Plan plan_of_sums(std::int64_t bytes) {
  Plan plan;
  plan.name = fmt::format("sums of {} bytes", bytes);
  const Tensor values{Arena::gradients, DType::f32, 0, bytes / size_of(DType::f32)};
  for (int i = 0; i < sums_of_plan(bytes); ++i) {
    plan.steps.push_back({AllReduce{values}, "bucket"});
    plan.steps.push_back({Join{}, "bucket"});
  }
  plan.arenas[static_cast<std::size_t>(Arena::gradients)] = bytes;
  return plan;
}

/// Seconds of one run of the plan: from a common start until the slowest rank has done `runs`.
double time_plan(Engine& engine, const RankEnvironment& ranks, int plan, int runs) {
  ranks.activity().advance();
  engine.synchronize();
  ranks.max(0);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < runs; ++i) engine.run(plan, {});
  engine.synchronize();
  const std::chrono::nanoseconds mine = std::chrono::steady_clock::now() - start;
  return static_cast<double>(ranks.max(mine.count())) * 1e-9 / runs;
}

}  // namespace

std::vector<std::int64_t> message_sizes(std::int64_t largest) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t bytes = smallest; bytes <= largest; bytes *= 4) sizes.push_back(bytes);
  return sizes;
}

AllReduceFigures bench_allreduce(Device device, std::int64_t largest, const RankEnvironment& ranks) {
  if (ranks.size() == 1) {
    throw AgreedError("bench allreduce needs several ranks: start it with mpirun or srun", ExitCode::usage);
  }
  constexpr int rounds = 5;
  constexpr double round_seconds = 0.05;
  Config config;
  config.device = device;
  const std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  const std::vector<std::int64_t> sizes = message_sizes(largest);
  agree(ranks, [&] { engine->allocate(plan_of_sums(sizes.back()).arenas); });
  AllReduceFigures figures{engine->describe(), ranks.size(), {}};
  const double share = 2.0 * (ranks.size() - 1) / ranks.size();
  for (const std::int64_t bytes : sizes) {
    const int plan = engine->load(plan_of_sums(bytes));
    time_plan(*engine, ranks, plan, 1);  // capture
    const double estimate = time_plan(*engine, ranks, plan, 1);
    const int runs = static_cast<int>(std::clamp(round_seconds / estimate, 1.0, 1e4));
    std::vector<double> seconds;
    for (int round = 0; round < rounds; ++round) seconds.push_back(time_plan(*engine, ranks, plan, runs));
    const double sum_seconds = median(std::move(seconds)) / sums_of_plan(bytes);
    figures.rows.push_back({bytes, sum_seconds, share * static_cast<double>(bytes) / sum_seconds});
  }
  return figures;
}

}  // namespace convoy
