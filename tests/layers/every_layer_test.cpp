// What is asked of every layer of the list, whatever it is: its rules compute the gradients of what they
// compute, every engine agrees with the reference, at training and at evaluation, on images and on volumes;
// and what the YAML says of it is written back as it was read. A new layer is tested here by being in the
// list.
#include <map>
#include <tuple>

#include "src/config/schema.h"
#include "src/model/graph.h"
#include "src/plan/passes.h"
#include "tests/config/support.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

constexpr int images = 3;

/// A network of the entry between layers with weights, so that its gradient by its input is asked for, too.
/// The entry stands behind a flatten where it takes no image.
Config network_with(const std::string& entry, const std::string& input) {
  const auto with = [&](const char* before) {
    return parse(
        fmt::format("model: {{input: {}, layers: [conv: {{out: 8, kernel: 1, bias: false}}, {} {}, flatten, "
                    "linear: 3]}}\n"
                    "train: {{global_batch: {}}}\n",
                    input, before, "{" + entry + "}", images));
  };
  Config config = with("");
  try {
    build_graph(config.model);
  } catch (const Error&) {
    config = with("flatten,");
    build_graph(config.model);
  }
  return config;
}

/// Gives every tensor of a plan a tensor of the case: results are declared, what nothing wrote before becomes
/// an input.
struct Declare {
  OpCase& op;
  std::map<std::tuple<Arena, std::int64_t, DType, std::int64_t>, Tensor> known = {};

  static auto key(const Tensor& t) { return std::tuple(t.arena, t.offset, t.dtype, t.count); }
  std::string name() const { return "t" + std::to_string(op.variables.size()); }
  void reads(Tensor& t) {
    if (!t) return;
    const auto [at, is_new] = known.try_emplace(key(t));
    if (is_new) {
      const auto seed = static_cast<std::uint64_t>(op.variables.size() + 1);
      const double low = t.arena == Arena::unplaced ? -1 : 0.2;  // variances and factors are above zero
      at->second = op.input(
          name(), t.dtype == DType::i32 ? integers(t.count, 3, seed) : uniform(t.count, low, 1, seed),
          t.dtype);
    }
    t = at->second;
  }
  void writes(Tensor& t) {
    if (!t) return;
    const auto [at, is_new] = known.try_emplace(key(t));
    if (is_new) at->second = op.result(name(), t.count, t.dtype);
    t = at->second;
  }
  void updates(Tensor& t) { reads(t); }
};

OpCase case_of(const std::string& name, const std::string& entry, const std::string& input, bool training) {
  const Config config = network_with(entry, input);
  const Graph graph = build_graph(config.model);
  const Layout layout = make_layout(graph, config, {images, images, images}, DType::f32);
  const MicroBatch batch = micro_batches(config.train, images, 0, 1).at(0);
  Plan plan = training ? training_pass(graph, layout, config, batch, true)
                       : evaluation_plan(graph, layout, config, batch, true);
  OpCase op;
  op.name = name + (input.size() > 9 ? "_volume" : "_image") + (training ? "_training" : "_evaluation");
  op.tolerance = 1e-4;
  Declare declare{op};
  for (Step& step : plan.steps) {
    if (std::holds_alternative<Augment>(step.call) || std::holds_alternative<AccumulateMetrics>(step.call))
      continue;
    visit_tensors(step.call, declare);
    op.calls.push_back(step.call);
    if (const auto* loss = std::get_if<SoftmaxCrossEntropy>(&step.call)) op.output = loss->loss;
  }
  if (!training) return op;
  op.projection = Values(images, 1.0 / images);  // the gradient is of the mean loss
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    op.gradients.emplace_back(declare.known.at(Declare::key(layout.parameters[i])),
                              declare.known.at(Declare::key(layout.gradients[i])));
  }
  return op;
}

std::string entry_of(const Kind<LayerConfig>& kind) {
  return kind.example.empty() ? kind.name + ": {}" : kind.example;
}

/// Entries that other rules or kernels serve than a kind's example.
const std::vector<std::pair<std::string, std::string>> more_entries = {
    {"conv_groups", "conv: {out: 12, kernel: 3, pad: same, groups: 4}"},
    {"conv_depthwise", "conv: {out: 8, kernel: 3, pad: same, groups: 8}"},
    {"maxpool_ceil", "maxpool: {kernel: 3, stride: 2, ceil: true}"},
    {"avgpool_ceil", "avgpool: {kernel: 3, stride: 2, pad: 1, ceil: true}"},
    {"avgpool_uncounted", "avgpool: {kernel: 3, stride: 2, pad: 1, count_padding: false}"},
    {"adaptive_avgpool_whole", "adaptive_avgpool: {size: 2}"},
    {"linear_per_pixel", "linear: {out: 5, per_pixel: true}"},
    {"concat_identities", "concat: [[], [relu6], []]"},
    {"concat_split", "concat: {split: true, branches: [[], [conv: {out: 3, kernel: 1}, silu]]}"},
    {"concat_of_flat", "concat: [[globalavgpool, flatten, linear: 3], [globalavgpool]]"},
    {"scale_by_values", "scale: [conv: {out: 8, kernel: 3, pad: same}, sigmoid]"},
    {"scale_by_flat", "scale: [globalavgpool, flatten, linear: 8, hardsigmoid]"},
    {"squeeze_excite_hard", "squeeze_excite: {squeeze: 3, activation: silu, gate: hardsigmoid}"},
    {"channel_shuffle_uneven", "channel_shuffle: 4"},
    {"layer_scale_large", "layer_scale: 0.5"},
    {"layernorm_of_flat",
     "residual: {body: [globalavgpool, flatten, linear: 6, layernorm], "
     "shortcut: [globalavgpool, flatten, linear: 6]}"},
    {"groupnorm_of_flat",
     "residual: {body: [globalavgpool, flatten, linear: 6, groupnorm: 2], "
     "shortcut: [globalavgpool, flatten, linear: 6]}"},
    {"drop_path_of_a_body", "residual: [conv: {out: 8, kernel: 1}, layer_scale: 0.3, drop_path: 0.4]"},
};

std::vector<OpCase> layer_cases() {
  std::vector<std::pair<std::string, std::string>> entries = more_entries;
  for (const Kind<LayerConfig>& kind : layer_kinds()) entries.emplace_back(kind.name, entry_of(kind));
  std::vector<OpCase> cases;
  for (const auto& [name, entry] : entries) {
    for (const char* input : {"[2, 6, 4]", "[2, 4, 6, 2]"}) {
      cases.push_back(case_of(name, entry, input, true));
      cases.push_back(case_of(name, entry, input, false));
    }
  }
  return cases;
}

CONVOY_OP_TESTS(EveryLayer, layer_cases);

TEST(EveryLayer, IsWrittenBackAsItWasRead) {
  for (const Kind<LayerConfig>& kind : layer_kinds()) {
    const Config config = network_with(entry_of(kind), "[2, 6, 4]");
    EXPECT_EQ(parse(to_yaml(config)).model.layers, config.model.layers) << kind.name;
  }
  for (const auto& [name, entry] : more_entries) {
    const Config config = network_with(entry, "[2, 6, 4]");
    EXPECT_EQ(parse(to_yaml(config)).model.layers, config.model.layers) << name;
  }
}

TEST(EveryLayer, IsOneKindAlone) {
  for (const Kind<LayerConfig>& one : layer_kinds())
    for (const Kind<LayerConfig>& other : layer_kinds())
      EXPECT_EQ(one.matches(other.prototype), one.name == other.name) << one.name << " " << other.name;
}

}  // namespace
}  // namespace convoy::testing
