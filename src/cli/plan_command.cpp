// `convoy plan`: the step as data, printed.
#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/train/setup.h"

namespace convoy {
namespace {

void print_plan(const Plan& plan, int images) {
  std::int64_t flops = 0, bytes = 0;
  print_printable("{}, {} images over all ranks\n", plan.name, images);
  print_printable("  {:<12} {:<22} {:>12} {:>12}  {}\n", "node", "call", "MFLOP", "bytes", "shape");
  for (const Step& step : plan.steps) {
    flops += flops_of(step.call);
    bytes += bytes_of(step.call);
    print_printable("  {:<12} {:<22} {:>12.2f} {:>12}  {}\n", step.node, name_of(step.call),
                    static_cast<double>(flops_of(step.call)) / 1e6, human_bytes(bytes_of(step.call)),
                    describe(step.call));
  }
  print_printable("  {} calls, {:.2f} MFLOP, {} moved\n\n", plan.steps.size(),
                  static_cast<double>(flops) / 1e6, human_bytes(bytes));
}

}  // namespace

int run(const CommandContext& context, const PlanArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const Config config = load_agreed(arguments.config, ranks);
  const std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  Graph graph;
  PlanSet plans;
  agree(ranks, [&] { graph = build_graph(config.model); });
  plans = make_plans(graph, config, nominal_counts(config.data), *engine, ranks);
  if (!ranks.is_root()) return static_cast<int>(ExitCode::done);

  print_printable("{}: {} parameters, {} rank{}, {}, data set {}\n\n", config.name, graph.parameter_count(),
                  ranks.size(), ranks.size() == 1 ? "" : "s", engine->describe(),
                  plans.resident ? "resident" : "staged batch by batch");
  for (const auto& [count, plan] : plans.training) print_plan(plan, count);
  for (const auto& [count, plan] : plans.evaluation) print_plan(plan, count);
  fmt::print("arenas of one rank\n");
  for (std::size_t i = 0; i < arena_count; ++i) {
    if (plans.arenas[i] > 0)
      print_printable("  {:<12} {:>14} bytes\n", name_of(static_cast<Arena>(i)), plans.arenas[i]);
  }
  print_printable("  {:<12} {:>14} bytes ({})\n", "total", plans.total_bytes(),
                  human_bytes(plans.total_bytes()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
