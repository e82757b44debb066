// `convoy models`: networks by name; what they are, their files, their weights.
#include <filesystem>
#include <numeric>

#include "comm/agree.h"
#include "comm/agree_on_root.h"
#include "core/log.h"
#include "src/cli/commands.h"
#include "src/cli/downloads.h"
#include "src/config/hints.h"
#include "src/config/named_model.h"
#include "src/io/checksum.h"
#include "src/model/graph_builder.h"
#include "src/plan/passes.h"
#include "src/train/early_stop.h"
#include "src/train/stop_request.h"

namespace convoy {
namespace {

/// A configuration that has nothing but the network, with ImageNet's number of classes.
Config config_of(const NamedModel& model) {
  return parse_config(fmt::format("model: {{name: {}, classes: 1000}}\ndata: {{source: synthetic}}\n"
                                  "train: {{epochs: 1, global_batch: 1}}\n",
                                  model.name),
                      model.name, {});
}

/// Of one image's forward pass: an addition and a multiplication count as two.
std::int64_t flops_of_image(const Graph& graph, const Config& config) {
  const Layout layout = make_layout(graph, config, {1, 1, 1}, DType::f32);
  const Plan plan =
      evaluation_plan(graph, layout, config, micro_batches(config.train, 1, 0, 1).front(), true);
  return std::accumulate(plan.steps.begin(), plan.steps.end(), std::int64_t{0},
                         [](std::int64_t sum, const Step& step) { return sum + flops_of(step.call); });
}

void print_table(bool markdown) {
  const char* row =
      markdown ? "| `{}` | {} | {} | {} | {} | {} |\n" : "{:<20} {:>10} {:>8}  {:<14} {:<12} {}\n";
  const auto print_row = [&](const auto&... cells) { fmt::print(fmt::runtime(row), cells...); };
  if (markdown) {
    fmt::print("| name | parameters | GFLOP | input | weights | what it is |\n|---|---:|---:|---|---|---|\n");
  } else {
    print_row("name", "parameters", "GFLOP", "input", "weights of", "what it is");
  }
  for (const NamedModel& model : named_models()) {
    const Config config = config_of(model);
    const Graph graph = build_graph(config.model);
    const ModelFacts facts = facts_of(model);
    print_row(model.name, fmt::format("{:.2f} M", static_cast<double>(graph.parameter_count()) / 1e6),
              fmt::format("{:.2f}", static_cast<double>(flops_of_image(graph, config)) / 1e9),
              fmt::format("{}", fmt::join(config.model.input, "x")),
              facts.weights_of.empty() ? "-" : facts.weights_of, facts.about);
  }
  if (!markdown) {
    fmt::print(
        "\nparameters and GFLOP (of one image's forward pass, a multiplication and an addition are two) with "
        "1000 "
        "classes\nuse one with `model: NAME`; `convoy models show NAME` prints its file, `convoy models "
        "fetch NAME` "
        "gets its weights\n");
  }
}

const NamedModel& find_model(const std::string& name) {
  for (const NamedModel& model : named_models())
    if (model.name == name) return model;
  std::vector<std::string> names;
  for (const NamedModel& model : named_models()) names.push_back(model.name);
  fail_usage("no network called {}{}; `convoy models` lists them", quote(name, 60),
             did_you_mean(name, names));
}

void fetch_weights(const ModelsFetchArguments& arguments, const StopRequest& stop) {
  namespace fs = std::filesystem;
  const NamedModel& model = find_model(arguments.name);
  const ModelFacts facts = facts_of(model);
  if (facts.weights.empty()) fail_usage("{}: its file names no weights to download", model.name);
  const std::string file = fs::path(facts.weights).filename().string();
  const std::string address = arguments.mirror.empty()
                                  ? facts.weights
                                  : arguments.mirror + (arguments.mirror.ends_with('/') ? "" : "/") + file;
  const fs::path path = arguments.output.empty() ? fs::path(file) : fs::path(arguments.output);
  if (fs::is_regular_file(path) && sha256_of(path).starts_with(facts.checksum))
    log_info("{}: already here", path.string());
  else
    Downloads(arguments.timeout, stop).fetch({address}, path, facts.checksum);
  log_info("start from them with model: {{name: {}, init: {}}}", model.name, path.string());
}

}  // namespace

int run(const CommandContext& context, const ModelsArguments& arguments) {
  if (context.ranks.is_root()) print_table(arguments.markdown);
  return static_cast<int>(ExitCode::done);
}

int run(const CommandContext& context, const ModelsShowArguments& arguments) {
  std::string text;
  agree(context.ranks, [&] { text = find_model(arguments.name).text; });
  if (context.ranks.is_root()) fmt::print("{}", text);
  return static_cast<int>(ExitCode::done);
}

int run(const CommandContext& context, const ModelsFetchArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  ranks.activity().begin("fetching weights");
  const StopRequest stop;
  const EarlyStop early([&] { return stop.made(); }, context.watchdog, "on request", std::chrono::seconds(3));
  agree_on_root(ranks, [&] { fetch_weights(arguments, stop); });
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
