// `convoy bench scaling`: what more ranks bring. bench/scaling_chart.py draws its report.
#include <nlohmann/json.hpp>

#include "src/bench/figures.h"
#include "src/bench/scaling_bench.h"
#include "src/cli/commands.h"

namespace convoy {
namespace {

using Json = nlohmann::ordered_json;

Json rows_json(const std::vector<ScalingRow>& rows) {
  Json json;
  for (const ScalingRow& row : rows) {
    json.push_back({{"ranks", row.ranks},
                    {"global_batch", row.global_batch},
                    {"step_seconds", row.step_seconds},
                    {"images_per_second", row.images_per_second()},
                    {"efficiency", efficiency(row, rows.front())}});
    if (row.exposed) json.back()["exposed"] = *row.exposed;
  }
  return json;
}

Json scaling_json(const Config& config, const ScalingFigures& figures) {
  return {{"benchmark", "scaling"},
          {"config", config.name},
          {"engine", figures.engine},
          {"precision", name_of(config.train.precision)},
          {"batch", config.train.global_batch},
          {"weak", rows_json(figures.weak)},
          {"strong", rows_json(figures.strong)}};
}

void print_rows(const char* title, const std::vector<ScalingRow>& rows) {
  fmt::print("{}\n  {:>5} {:>7} {:>12} {:>10} {:>11} {:>9}\n", title, "ranks", "batch", "images/s",
             "ms a step", "efficiency", "exposed");
  for (const ScalingRow& row : rows) {
    fmt::print("  {:>5} {:>7} {:>12.0f} {:>10.3f} {:>9.1f} % {:>9}\n", row.ranks, row.global_batch,
               row.images_per_second(), row.step_seconds * 1e3, 100 * efficiency(row, rows.front()),
               row.exposed ? fmt::format("{:.1f} %", 100 * *row.exposed) : "-");
  }
}

void print_scaling(const Config& config, const ScalingFigures& figures) {
  fmt::print("{}: {}, {}\n", config.name, figures.engine, name_of(config.train.precision));
  print_rows(fmt::format("weak: {} images per rank", config.train.global_batch).c_str(), figures.weak);
  print_rows(fmt::format("strong: {} images in all", config.train.global_batch).c_str(), figures.strong);
  fmt::print("exposed: how much longer a step takes than without its sums over ranks\n");
}

}  // namespace

int run(const CommandContext& context, const BenchScalingArguments& arguments) {
  const Config config = load_agreed(arguments.config, context);
  context.ranks.activity().begin("measuring");
  const ScalingFigures figures = bench_scaling(config, context.ranks, arguments.seconds);
  if (context.ranks.is_root()) {
    print_scaling(config, figures);
    write_report(arguments.json, scaling_json(config, figures));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
