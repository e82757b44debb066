#include "src/model/graph_builder.h"

#include <limits>

#include "src/config/class_outputs.h"

namespace convoy {
namespace {

/// Of an image's features and of a parameter: kernels and MPI count in int.
constexpr double most_elements = std::numeric_limits<int>::max();

/// In floating point, which does not overflow.
double elements_of(const FeatureShape& shape) {
  return static_cast<double>(shape.d) * shape.h * shape.w * shape.c;
}

}  // namespace

GraphBuilder::GraphBuilder(const FeatureShape& input) : image_(input.d == 1) {
  graph_.nodes.push_back({"input", op::Input{}, {}, input, {}});
}

int GraphBuilder::chain(const std::vector<LayerConfig>& layers, int input, const std::string& prefix) {
  const std::string outer_name = name_, outer_block = block_;
  const LayerConfig* const outer = layer_;
  int index = 0;
  for (const LayerConfig& layer : layers) {
    layer_ = &layer;
    name_ = layer.name.empty() ? prefix + std::to_string(index) : outer_block + layer.name;
    block_ = layer.name.empty() ? outer_block : name_ + ".";
    take_name(name_);
    input = std::visit([&](const auto& config) { return config.add(*this, input); }, layer.layer);
    ++index;
  }
  layer_ = outer;
  name_ = outer_name;
  block_ = outer_block;
  return input;
}

void GraphBuilder::take_name(const std::string& name) {
  const auto [found, is_new] = taken_.emplace(name, layer_->mark);
  if (is_new) return;
  const std::string first = found->second.text();
  fail_usage("{}: model.layers: the name {} is taken{}", layer_->mark.text(), name,
             first == layer_->mark.text()
                 ? " by another layer of the same line; in a repeat, {i} in a name stands for the round"
                 : fmt::format(", by {}; choose another", first));
}

FeatureShape GraphBuilder::unflattened(int index) const {
  const auto at = [&](int i) -> const Node& { return graph_.nodes[static_cast<std::size_t>(i)]; };
  const Node* node = &at(index);
  while (is_pointwise(node->op)) node = &at(node->inputs[0]);
  return std::holds_alternative<op::Flatten>(node->op) ? at(node->inputs[0]).out : shape(index);
}

Axes GraphBuilder::axes(const char* key, const AxisValues& values, int flat) const {
  if (values.size() == 1) return {image_ ? flat : values[0], values[0], values[0]};
  if (values.size() == 2 && image_) return {flat, values[0], values[1]};
  if (values.size() == 3 && !image_) return {values[0], values[1], values[2]};
  reject("{}: {} numbers given, the input has {} axes", key, values.size(), image_ ? 2 : 3);
}

int GraphBuilder::parameter(const char* name, Parameter parameter) {
  parameter.name = name_;
  if (*name != '\0') take_name(parameter.name += fmt::format(".{}", name));
  double elements = 1;
  for (const std::int64_t dim : parameter.dims) elements *= static_cast<double>(dim);
  if (elements > most_elements) {
    fail_usage("{}: model.layers.{}: {:.0f} elements; the limit is 2^31 - 1", layer_->mark.text(),
               parameter.name, elements);
  }
  graph_.parameters.push_back(std::move(parameter));
  parameters_.push_back(static_cast<int>(graph_.parameters.size()) - 1);
  return parameters_.back();
}

int GraphBuilder::vector_parameter(const char* name, std::int64_t count, Init init, std::int64_t fan_in) {
  return parameter(name, {"", {count}, {0}, {count}, init, fan_in, count, false});
}

int GraphBuilder::statistic(const char* name, std::int64_t count, double initial, float momentum) {
  const std::string full_name = name_ + "." + name;
  take_name(full_name);
  graph_.statistics.push_back({full_name, count, initial, momentum});
  return static_cast<int>(graph_.statistics.size()) - 1;
}

int GraphBuilder::node(Op op, std::vector<int> inputs, FeatureShape out) {
  if (elements_of(out) > most_elements)
    reject("its output {} has more than 2^31 - 1 elements per image", to_string(out));
  graph_.nodes.push_back({name_, std::move(op), std::move(inputs), out, std::exchange(parameters_, {})});
  return static_cast<int>(graph_.nodes.size()) - 1;
}

void GraphBuilder::reject_with(const std::string& reason) const {
  fail_usage("{}: layer {}: {}", layer_->mark.text(), name_, reason);
}

Graph build_graph(const ModelConfig& config) {
  if (wants_classes(config)) {
    fail_usage("{}: out: classes needs the data set's number of classes; give the number here",
               config.mark.text());
  }
  const FeatureShape input = feature_shape(config.input);
  if (elements_of(input) > most_elements) {
    fail_usage("{}: model.input: an image {} has more than 2^31 - 1 elements", config.mark.text(),
               to_string(input));
  }
  GraphBuilder builder(input);
  const int last = builder.chain(config.layers, 0, "");
  Graph graph = std::move(builder).finish();
  const FeatureShape& out = graph.nodes[static_cast<std::size_t>(last)].out;
  if (out.pixels() != 1) {
    fail_usage(
        "{}: model.layers: the last layer gives {}, but one score per class is needed: end with linear",
        config.mark.text(), to_string(out));
  }
  if (graph.parameters.empty())
    fail_usage("{}: model.layers: no layer has weights to train; add linear or conv", config.mark.text());
  return graph;
}

}  // namespace convoy
