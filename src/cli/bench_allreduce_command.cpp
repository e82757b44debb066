// `convoy bench allreduce`: what sums over ranks cost, by size.
#include <map>

#include "src/bench/allreduce_bench.h"
#include "src/bench/figures.h"
#include "src/cli/bench.h"

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

void add_bench_allreduce(CLI::App& bench, CommandContext& context) {
  struct Arguments {
    Device device = Device::automatic;
    std::int64_t largest = std::int64_t{256} << 20;
    std::string json;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = bench.add_subcommand(
      "allreduce",
      "sums over ranks of 256 bytes and more, as a training step queues them; under mpirun or srun");
  const std::map<std::string, Device> devices = {
      {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda}};
  command->add_option("--device", arguments->device, "where the sums are (default: auto)")
      ->option_text("auto|cpu|cuda")
      ->transform(CLI::CheckedTransformer(devices, CLI::ignore_case));
  command->add_option("--largest", arguments->largest, "the largest sum (default: 256M)")
      ->option_text("BYTES, also as 64K or 16M")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{256}, std::int64_t{1} << 40));
  add_json_option(*command, arguments->json);
  command->callback([&context, arguments] {
    context.action = [&context, arguments] {
      const AllReduceFigures figures = bench_allreduce(arguments->device, arguments->largest, context.ranks);
      if (context.ranks.is_root()) {
        print_allreduce(figures);
        write_report(arguments->json, allreduce_json(figures));
      }
      return static_cast<int>(ExitCode::done);
    };
  });
}

}  // namespace convoy
