// `convoy bench`: how fast the device does the steps, the calls and the sums over ranks of a training.
#include "src/cli/bench.h"

namespace convoy {

void add_json_option(CLI::App& command, std::string& path) {
  command.add_option("--json", path, "also write the figures to this file");
}

nlohmann::ordered_json to_json(const Ceilings& ceilings) {
  return {{"flops_per_second", ceilings.flops_per_second}, {"bytes_per_second", ceilings.bytes_per_second}};
}

void add_bench(CLI::App& app, CommandContext& context) {
  CLI::App* bench = app.add_subcommand("bench", "measure speed: steps, single calls, sums over ranks");
  bench->require_subcommand(1);
  add_bench_step(*bench, context);
  add_bench_ops(*bench, context);
  add_bench_allreduce(*bench, context);
}

}  // namespace convoy
