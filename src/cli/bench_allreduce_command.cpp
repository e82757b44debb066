// `convoy bench allreduce`: what sums over ranks cost, by size.
#include <nlohmann/json.hpp>

#include "src/bench/allreduce_bench.h"
#include "src/bench/figures.h"
#include "src/cli/commands.h"

namespace convoy {
namespace {

nlohmann::ordered_json allreduce_json(const AllReduceFigures& figures) {
  nlohmann::ordered_json json = {
      {"benchmark", "allreduce"}, {"engine", figures.engine}, {"ranks", figures.ranks}};
  for (const AllReduceRow& row : figures.rows) {
    json["rows"].push_back(
        {{"bytes", row.bytes}, {"seconds", row.seconds}, {"bus_bytes_per_second", row.bus_bytes_per_second}});
  }
  return json;
}

void print_allreduce(const AllReduceFigures& figures) {
  fmt::print("{} ranks, each on {}\n", figures.ranks, figures.engine);
  fmt::print("  {:>12} {:>12} {:>12}\n", "bytes", "us", "bus GB/s");
  for (const AllReduceRow& row : figures.rows) {
    fmt::print("  {:>12} {:>12.1f} {:>12.3f}\n", row.bytes, row.seconds * 1e6,
               row.bus_bytes_per_second * 1e-9);
  }
}

}  // namespace

int run(const CommandContext& context, const BenchAllReduceArguments& arguments) {
  watch(context, DistributedConfig{});
  context.ranks.activity().begin("measuring sums");
  const AllReduceFigures figures = bench_allreduce(arguments.device, arguments.largest, context.ranks);
  if (context.ranks.is_root()) {
    print_allreduce(figures);
    write_report(arguments.json, allreduce_json(figures));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
