// `convoy models`: networks by name; what they are, their files, their weights.
#include <filesystem>
#include <numeric>

#include "comm/agree.h"
#include "comm/agree_on_root.h"
#include "core/log.h"
#include "src/cli/commands.h"
#include "src/cli/downloads.h"
#include "src/config/named_model.h"
#include "src/io/checksum.h"
#include "src/model/graph_builder.h"
#include "src/plan/passes.h"
#include "src/train/early_stop.h"
#include "src/train/stop_request.h"

namespace convoy {
namespace {

/// A configuration that has nothing but the network, with ImageNet's number of classes, or CIFAR's of
/// networks for small images.
Config config_of(const NamedModel& model) {
  constexpr int small = 64;
  const auto with = [&](int classes) {
    return parse_config(fmt::format("model: {{name: {}, classes: {}}}\ndata: {{source: synthetic}}\n"
                                    "train: {{epochs: 1, global_batch: 1}}\n",
                                    model.name, classes),
                        model.name, {});
  };
  const Config config = with(1000);
  return config.model.input[1] < small ? with(10) : config;
}

/// Of one image's forward pass: an addition and a multiplication count as two.
std::int64_t flops_of_image(const Graph& graph, const Config& config) {
  const Layout layout = make_layout(graph, config, {1, 1, 1}, DType::f32);
  const Plan plan =
      evaluation_plan(graph, layout, config, micro_batches(config.train, 1, 0, 1).front(), true);
  return std::accumulate(plan.steps.begin(), plan.steps.end(), std::int64_t{0},
                         [](std::int64_t sum, const Step& step) { return sum + flops_of(step.call); });
}

std::string in_giga(std::int64_t flops) {
  const double giga = static_cast<double>(flops) / 1e9;
  return giga < 0.1 ? fmt::format("{:.4f}", giga) : fmt::format("{:.2f}", giga);
}

struct Row {
  std::string name, parameters, gflop, input, about;
};

std::vector<Row> rows() {
  std::vector<Row> rows;
  for (const NamedModel& model : named_models()) {
    const Config config = config_of(model);
    const Graph graph = build_graph(config.model);
    rows.push_back({model.name, fmt::format("{:.2f} M", static_cast<double>(graph.parameter_count()) / 1e6),
                    in_giga(flops_of_image(graph, config)),
                    fmt::format("{}", fmt::join(config.model.input, "x")), facts_of(model).about});
  }
  return rows;
}

/// The page docs/models.md, around its table.
constexpr const char* page_begin = R"(# Networks by name

`convoy models --markdown` writes this page. `model: NAME` in a configuration stands for the network's file in `configs/models`, which
is part of the program. A whole configuration, `pets.yaml`:

    model: {name: resnet50, init: resnet50-11ad3fa6.pth}
    data: {path: pictures}

Three commands go with it:

    convoy models                   # this table
    convoy models show resnet50     # the file: copy it where you want other layers
    convoy models fetch resnet50    # its pretrained weights, from the address in the file, checked by their SHA-256

- With `init`, keys that you leave out get defaults for fine-tuning: 20 epochs in batches of 32, `sgd` with `lr: 0.01`, `momentum: 0.9` and
  `weight_decay: 0.0001`, a `cosine` schedule with one epoch of warm-up, and for pictures `random_resized_crop` and `flip`. The first lines
  of a run list those that were filled in. `convoy check` also reads the weights, and says what does not fit and what begins anew.
- The last layer gets as many outputs as the data set has classes; `classes: N` says another number.
- `input: [C, H, W]` takes pictures of another size; `dropout`, `drop_path`, `width` and `epsilon` change those of networks that have them.
- Pictures are normalised as the network's file says, with the mean and standard deviation of the data set that it was made for, unless
  `data.normalize` is there.
- `model.layers.0.conv.stride=1` on the command line changes a layer, as in any network.
- Parameters have torchvision's names: its weights load here, and `convoy export --format safetensors` writes weights that
  `load_state_dict(..., strict=True)` of the same torchvision model takes.
- Weights of timm's networks load, too. The ResNets, `resnext50_32x4d`, `wide_resnet50_2` and `densenet121` have the same names there.
  `convnext_tiny`, `efficientnet_b0`, `mobilenetv2_100`, `mobilenetv3_large_100` (with `epsilon: 0.00001`), `mnasnet_100`, `regnety_004` and
  `vgg16_bn` have other names, which are understood. timm's `efficientnetv2_s` is another network: its batch normalisation has another
  epsilon. `tf_efficientnetv2_s` pads otherwise, and `efficientnetv2_rw_s` has other blocks.

Logits and gradients are compared with PyTorch's in double precision (`tests/golden/models_test.cpp`), and with torchvision and timm
themselves where these are installed (`tests/cli/pytorch_test.py`).

Parameters and GFLOP (of one picture's forward pass; a multiplication and an addition are two) are those with 1000 classes, and with
10 where the input is 28x28 or 32x32.

)";

void print_page() {
  fmt::print("{}| name | parameters | GFLOP | input | what it is |\n|---|---:|---:|---|---|\n", page_begin);
  for (const Row& row : rows())
    fmt::print("| `{}` | {} | {} | {} | {} |\n", row.name, row.parameters, row.gflop, row.input, row.about);
}

void print_table() {
  constexpr const char* line = "{:<20} {:>10} {:>7}  {:<11}  {}\n";
  fmt::print(line, "name", "parameters", "GFLOP", "input", "what it is");
  for (const Row& row : rows()) fmt::print(line, row.name, row.parameters, row.gflop, row.input, row.about);
  fmt::print(
      "\nWith 1000 classes, small inputs with 10; GFLOP of one picture's forward pass, a multiplication and "
      "an addition are two.\n"
      "`model: NAME` uses one, `convoy models show NAME` prints its file, `convoy models fetch NAME` gets "
      "weights.\n");
}

void fetch_weights(const ModelsFetchArguments& arguments, const StopRequest& stop) {
  namespace fs = std::filesystem;
  const NamedModel& model = named_model(arguments.name);
  const ModelFacts facts = facts_of(model);
  if (facts.weights.empty()) fail_usage("{}: its file names no weights to download", model.name);
  const std::string file = fs::path(facts.weights).filename().string();
  const std::string address = arguments.mirror.empty() ? facts.weights : address_at(arguments.mirror, file);
  const fs::path path = arguments.output.empty() ? fs::path(file) : fs::path(arguments.output);
  if (fs::is_regular_file(path) && sha256_of(path).starts_with(facts.checksum))
    log_info("{}: already here", path.string());
  else
    Downloads(arguments.timeout, stop).fetch({address}, path, facts.checksum);
  log_info("start from them with model: {{name: {}, init: {}}}", model.name, path.string());
}

}  // namespace

int run(const CommandContext& context, const ModelsArguments& arguments) {
  if (!context.ranks.is_root()) return static_cast<int>(ExitCode::done);
  if (arguments.markdown)
    print_page();
  else
    print_table();
  return static_cast<int>(ExitCode::done);
}

int run(const CommandContext& context, const ModelsShowArguments& arguments) {
  std::string text;
  agree(context.ranks, [&] { text = named_model(arguments.name).text; });
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
