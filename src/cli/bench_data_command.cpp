// `convoy bench data`: images per second of a data set's source.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/bench/data_bench.h"
#include "src/bench/figures.h"
#include "src/cli/commands.h"

namespace convoy {

int run(const CommandContext& context, const BenchDataArguments& arguments) {
  const Config config = load_agreed(arguments.config, context);
  context.ranks.activity().begin("loading data");
  const DataFigures figures = bench_data(config, context.ranks, arguments.seconds, arguments.threads);
  if (!context.ranks.is_root()) return static_cast<int>(ExitCode::done);
  const auto [slowest, fastest] = std::minmax_element(figures.rounds.begin(), figures.rounds.end());
  fmt::print("{}: {:.0f} images/s (median of {} rounds, {:.0f} to {:.0f}), {} of {} thread{}, {}B/s\n",
             config.name, figures.images_per_second, figures.rounds.size(), *slowest, *fastest,
             context.ranks.size() == 1 ? "1 rank" : fmt::format("{} ranks", context.ranks.size()),
             figures.threads, figures.threads == 1 ? "" : "s",
             human_rate(figures.images_per_second * static_cast<double>(figures.image_bytes)));
  write_report(arguments.json, {{"benchmark", "data"},
                                {"config", config.name},
                                {"ranks", context.ranks.size()},
                                {"threads", figures.threads},
                                {"images_per_second", figures.images_per_second},
                                {"rounds", figures.rounds},
                                {"images", figures.images},
                                {"image_bytes", figures.image_bytes}});
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
