#include "src/export/onnx_writer.h"

#include "core/error.h"
#include "src/export/onnx_model.h"

namespace convoy {

OnnxWriter::OnnxWriter(const Graph& graph, const TensorFile& weights, OnnxModel& model)
    : graph_(graph), weights_(weights), model_(model), axes_(graph.input().d == 1 ? 2 : 3) {}

OnnxValue OnnxWriter::write_nodes(const OnnxValue& first) {
  values_ = {first};
  for (current_ = 1; current_ < graph_.nodes.size(); ++current_)
    values_.push_back(std::visit([&](const auto& o) { return o.write(*this); }, node().op));
  current_ = graph_.nodes.size() - 1;
  return values_.back();
}

OnnxValue op::Input::write(OnnxWriter&) const {
  fail("internal error: the input is not an operation of the model");
}

std::string OnnxWriter::emit(const char* type, const std::vector<std::string>& inputs,
                             const std::vector<OnnxAttribute>& attributes, const std::string& suffix) {
  onnx::NodeProto& written = model_.emit(type, inputs, node().name + suffix);
  for (const OnnxAttribute& attribute : attributes)
    std::visit([&](const auto& value) { OnnxModel::set(written, attribute.name, value); }, attribute.value);
  return written.name();
}

std::vector<float> OnnxWriter::weights_of(const std::string& name,
                                          const std::vector<std::int64_t>& shape) const {
  const std::span<const float> values = floats_in(weights_, name, shape);
  return {values.begin(), values.end()};
}

std::string OnnxWriter::parameter(int index, bool memory_order) {
  const Parameter& parameter = graph_.parameters[static_cast<std::size_t>(index)];
  std::vector<float> values = weights_of(parameter.name, parameter.file_shape);
  if (memory_order) values = from_file_order(parameter, values);
  return model_.constant(parameter.name, parameter.file_shape, values);
}

std::string OnnxWriter::statistic(int index) {
  const Statistic& statistic = graph_.statistics[static_cast<std::size_t>(index)];
  return model_.constant(statistic.name, {statistic.count}, weights_of(statistic.name, {statistic.count}));
}

std::string OnnxWriter::number(float value) {
  return model_.number(value);
}

std::string OnnxWriter::matrix(std::int64_t rows, std::int64_t columns, const std::vector<float>& values,
                               const std::string& suffix) {
  return model_.constant(node().name + suffix, {rows, columns}, values);
}

std::string OnnxWriter::numbers(const std::vector<std::int64_t>& values) {
  return model_.numbers(values);
}

std::string OnnxWriter::equal_numbers(std::int64_t count, float value) {
  return model_.constant(fmt::format("{} constants {}", count, value), {count},
                         std::vector<float>(static_cast<std::size_t>(count), value));
}

OnnxValue OnnxWriter::flattened(const OnnxValue& value) {
  if (value.flat) return value;
  std::string& name = flattened_[value.name];
  if (name.empty()) {
    onnx::NodeProto& flatten = model_.emit("Flatten", {value.name}, value.name + ".flat");
    OnnxModel::set(flatten, "axis", std::int64_t{1});
    name = flatten.name();
  }
  return {name, true};
}

std::string OnnxWriter::with_axes(const OnnxValue& value) {
  if (!value.flat) return value.name;
  std::vector<std::int64_t> dims{0, shape_of_x().c};  // 0: as it is
  dims.resize(static_cast<std::size_t>(2 + axes_), 1);
  const std::string to =
      model_.constant(node().name + ".shape", {static_cast<std::int64_t>(dims.size())}, dims);
  return emit("Reshape", {value.name, to}, {}, ".unflat");
}

std::string OnnxWriter::channels_last(const std::string& value) {
  std::vector<std::int64_t> order{0};
  for (int axis = 0; axis < axes_; ++axis) order.push_back(2 + axis);
  order.push_back(1);
  return emit("Transpose", {value}, {{"perm", order}}, ".channels_last");
}

std::string OnnxWriter::channels_first(const std::string& value) {
  std::vector<std::int64_t> order{0, 1 + axes_};
  for (int axis = 0; axis < axes_; ++axis) order.push_back(1 + axis);
  return emit("Transpose", {value}, {{"perm", order}});
}

std::vector<std::int64_t> OnnxWriter::spatial(const Axes& axes) const {
  return {axes.end() - axes_, axes.end()};
}

std::vector<std::int64_t> OnnxWriter::pads(const Axes& axes) const {
  std::vector<std::int64_t> both = spatial(axes);
  both.insert(both.end(), axes.end() - axes_, axes.end());
  return both;
}

bool OnnxWriter::feeds_linear_layers_alone(std::size_t of) const {
  bool found = false;
  for (std::size_t i = of + 1; i < graph_.nodes.size(); ++i) {
    for (const int reads : graph_.nodes[i].inputs) {
      if (static_cast<std::size_t>(reads) != of) continue;
      found = true;
      const Op& op = graph_.nodes[i].op;
      if (!std::holds_alternative<op::Linear>(op) && !(is_pointwise(op) && feeds_linear_layers_alone(i)))
        return false;
    }
  }
  return found;
}

}  // namespace convoy
