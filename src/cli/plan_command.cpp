// `convoy plan`: the step as data, printed.
#include <algorithm>
#include <memory>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/engine/absent_gpu.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

void print_plan(const Plan& plan, int images, const PlanTarget& target) {
  std::int64_t flops = 0, bytes = 0;
  std::size_t width = 12;
  for (const Step& step : plan.steps) width = std::max(width, step.node.size());
  print_printable("{}, {} images over all ranks\n", plan.name, images);
  print_printable("  {:<{}} {:<22} {:>12} {:>12}  {}\n", "node", width, "call", "MFLOP", "bytes",
                  "shape [kernels]");
  for (const Step& step : plan.steps) {
    flops += flops_of(step.call);
    bytes += bytes_of(step.call);
    const std::string kernels = to_string(target.kernels_of(step.call));
    print_printable("  {:<{}} {:<22} {:>12.2f} {:>12}  {}{}\n", step.node, width, name_of(step.call),
                    static_cast<double>(flops_of(step.call)) / 1e6, human_bytes(bytes_of(step.call)),
                    describe(step.call), kernels.empty() ? "" : " [" + kernels + ']');
  }
  print_printable("  {} calls, {:.2f} MFLOP, {} moved\n\n", plan.steps.size(),
                  static_cast<double>(flops) / 1e6, human_bytes(bytes));
}

/// How many parameters train in a stage (Layout::stages).
std::int64_t trained_parameters(const Graph& graph, const Layout& layout, int stage) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < graph.parameters.size(); ++i)
    if (layout.stage_of[i] <= stage) count += graph.parameters[i].count();
  return count;
}

/// The engine that the configuration asks for, or the GPU that the command line names.
std::unique_ptr<const PlanTarget> target_of(const Config& config, const std::string& architecture,
                                            const RankEnvironment& ranks) {
  if (architecture.empty()) return make_engine_for(config, ranks);
  const std::span<const KnownGpu> known = known_gpus();
  const auto gpu = std::find_if(known.begin(), known.end(),
                                [&](const KnownGpu& g) { return g.architecture == architecture; });
  check(gpu != known.end(), "the command line admits known GPUs alone");
  auto target = std::make_unique<AbsentGpu>(*gpu);
  if (!target->computes_in(config.train.precision)) {
    throw AgreedError(format_printable("train.precision: {} does not run on {} ({}); fp32 and fp16 do",
                                       name_of(config.train.precision), architecture, gpu->name),
                      ExitCode::usage);
  }
  return target;
}

}  // namespace

int run(const CommandContext& context, const PlanArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const Config config = load_agreed(arguments.config, context);
  const std::unique_ptr<const PlanTarget> target = target_of(config, arguments.gpu, ranks);
  Graph graph;
  PlanSet plans;
  agree(ranks, [&] { graph = build_graph(config.model); });
  plans = make_plans(graph, config, nominal_counts(config.data), *target, ranks);
  if (!ranks.is_root()) return static_cast<int>(ExitCode::done);

  print_printable("{}: {} parameters, {} rank{}, {}, data set {}\n\n", config.name, graph.parameter_count(),
                  ranks.size(), ranks.size() == 1 ? "" : "s", target->describe(),
                  plans.resident ? "resident" : "staged batch by batch");
  if (!config.train.freeze.empty())
    print_printable("{} of the parameters train, the others are frozen\n\n",
                    trained_parameters(graph, plans.layout, 0));
  for (const auto& [count, plan] : plans.training) print_plan(plan, count, *target);
  for (std::size_t i = 0; i < plans.later_training.size(); ++i) {
    print_printable("from epoch {} on, when {} parameters train:\n\n", plans.layout.stages[i + 1].epoch + 1,
                    trained_parameters(graph, plans.layout, static_cast<int>(i) + 1));
    for (const auto& [count, plan] : plans.later_training[i]) print_plan(plan, count, *target);
  }
  for (const auto& [count, plan] : plans.evaluation) print_plan(plan, count, *target);
  if (!arguments.gpu.empty()) {
    fmt::print("memory is not counted with --gpu: run `convoy plan` without it on a machine with the GPU\n");
    return static_cast<int>(ExitCode::done);
  }
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
