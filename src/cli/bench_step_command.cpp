// `convoy bench step`: what a training step costs, per rank and in all.
#include <nlohmann/json.hpp>

#include "src/bench/figures.h"
#include "src/bench/step_bench.h"
#include "src/cli/commands.h"
#include "src/session/plan_set.h"

namespace convoy {
namespace {

using Json = nlohmann::ordered_json;

Json arenas_json(const ArenaSizes& arenas) {
  Json json;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < arena_count; ++i) {
    if (arenas[i] > 0) json[name_of(static_cast<Arena>(i))] = arenas[i];
    total += arenas[i];
  }
  json["total"] = total;
  return json;
}

/// The share of a step on staged data that is spent on waiting for them: what it takes longer than a step on
/// resident data. Noise can make it negative.
double input_wait(const StepFigures& figures) {
  return 1 - *figures.resident_step_seconds / figures.step_seconds;
}

Json step_json(const Config& config, const StepFigures& figures) {
  Json json = {{"benchmark", "step"}, {"config", config.name}, {"engine", figures.engine}};
  json["type"] = name_of(figures.operands);
  json["fusion"] = config.train.fusion;
  json["recompute"] = config.train.recompute;
  json["global_batch"] = config.train.global_batch;
  json["images_per_second"] = config.train.global_batch / figures.step_seconds;
  json["step_seconds"] = figures.step_seconds;
  if (figures.resident_step_seconds) {
    json["resident_step_seconds"] = *figures.resident_step_seconds;
    json["input_wait"] = input_wait(figures);
  }
  json["first_step_seconds"] = figures.first_step_seconds;
  json["rounds"] = figures.rounds;
  json["steps_per_round"] = figures.steps;
  json["flops"] = figures.flops;
  json["flops_per_second"] = static_cast<double>(figures.flops) / figures.step_seconds;
  json["ceilings"] = to_json(figures.ceilings);
  json["share_of_limit"] = to_json(share_of_limit(figures.limit_seconds, figures.step_seconds));
  json["arenas"] = arenas_json(figures.arenas);
  for (const RankFigures& rank : figures.ranks) {
    json["ranks"].push_back({{"images", rank.images},
                             {"step_seconds", rank.step_seconds},
                             {"images_per_second", rank.images / rank.step_seconds}});
  }
  return json;
}

void print_step(const Config& config, const StepFigures& figures) {
  const auto count = static_cast<int>(figures.ranks.size());
  fmt::print("{}: {}, {}{}{}, batch {}, {} rank{}\n", config.name, figures.engine, name_of(figures.operands),
             config.train.fusion ? "" : ", plain plan", config.train.recompute ? ", recomputing" : "",
             config.train.global_batch, count, count == 1 ? "" : "s");
  fmt::print("  {:.0f} images/s, {:.3f} ms a step (median of {} rounds of {} steps)\n",
             config.train.global_batch / figures.step_seconds, figures.step_seconds * 1e3, figures.rounds,
             figures.steps);
  if (figures.resident_step_seconds) {
    fmt::print("  {:.3f} ms a step on resident data: input wait {:.1f} % of the step\n",
               *figures.resident_step_seconds * 1e3, 100 * input_wait(figures));
  }
  for (int i = 0; count > 1 && i < count; ++i) {
    const RankFigures& rank = figures.ranks[static_cast<std::size_t>(i)];
    fmt::print("  rank {}: {:.0f} images/s, {:.3f} ms a step\n", i, rank.images / rank.step_seconds,
               rank.step_seconds * 1e3);
  }
  fmt::print("  {:.2f} s from the start of the process to the end of the first step\n",
             figures.first_step_seconds);
  const std::optional<double> share = share_of_limit(figures.limit_seconds, figures.step_seconds);
  fmt::print("  {}FLOP/s, {} of the limit: each call at {}FLOP/s or {}B/s, measured in this run\n",
             human_rate(static_cast<double>(figures.flops) / figures.step_seconds), percent_text(share),
             human_rate(figures.ceilings.flops_per_second), human_rate(figures.ceilings.bytes_per_second));
  if (!share) fmt::print("  {}\n", limit_is_wrong);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < arena_count; ++i) {
    total += figures.arenas[i];
    if (figures.arenas[i] > 0)
      fmt::print("  {:<12} {:>14} bytes\n", name_of(static_cast<Arena>(i)), figures.arenas[i]);
  }
  fmt::print("  {:<12} {:>14} bytes ({})\n", "total", total, human_bytes(total));
}

}  // namespace

int run(const CommandContext& context, const BenchStepArguments& arguments) {
  const Config config = load_agreed(arguments.config, context);
  const StepFigures figures = bench_step(config, context.ranks, arguments.seconds, context.process_start);
  if (context.ranks.is_root()) {
    print_step(config, figures);
    write_report(arguments.json, step_json(config, figures));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
