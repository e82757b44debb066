#include "src/export/onnx_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "core/error.h"

namespace convoy {
namespace {

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const char* name,
                                    onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

onnx::NodeProto& OnnxModel::emit_reserved(const std::string& type, const std::vector<std::string>& inputs,
                                          const std::string& name) {
  onnx::NodeProto& node = *proto.mutable_graph()->add_node();
  node.set_op_type(type);
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(name);
  return node;
}
onnx::NodeProto& OnnxModel::emit(const std::string& type, const std::vector<std::string>& inputs,
                                 std::string name) {
  while (!taken_.insert(name).second) name += '_';
  return emit_reserved(type, inputs, name);
}

void OnnxModel::set(onnx::NodeProto& node, const char* name, std::int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}
void OnnxModel::set(onnx::NodeProto& node, const char* name, float value) {
  add_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}
void OnnxModel::set(onnx::NodeProto& node, const char* name, const std::string& value) {
  add_attribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}
void OnnxModel::set(onnx::NodeProto& node, const char* name, const Ints& values) {
  onnx::AttributeProto& list = add_attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) list.add_ints(value);
}

void OnnxModel::add_constant(const std::string& name, const Ints& dims, onnx::TensorProto::DataType type,
                             const void* values, std::size_t bytes) {
  if (!constants_.insert(name).second) return;
  reserve(name);
  onnx::TensorProto& tensor = *proto.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  tensor.set_raw_data(values, bytes);
  bytes_ += bytes;
  if (bytes_ > std::numeric_limits<std::int32_t>::max())
    fail("more than 2 GiB of weights, which no ONNX file holds by itself: export to safetensors");
}
std::string OnnxModel::constant(const std::string& name, const Ints& dims, const std::vector<float>& values) {
  add_constant(name, dims, onnx::TensorProto::FLOAT, values.data(), values.size() * sizeof(float));
  return name;
}
std::string OnnxModel::constant(const std::string& name, const Ints& dims, const Ints& values) {
  add_constant(name, dims, onnx::TensorProto::INT64, values.data(), values.size() * sizeof(std::int64_t));
  return name;
}
std::string OnnxModel::number(float value) {
  return constant(fmt::format("constant {}", value), {}, std::vector<float>{value});
}
std::string OnnxModel::numbers(const Ints& values) {
  return constant(fmt::format("constants {}", fmt::join(values, " ")),
                  {static_cast<std::int64_t>(values.size())}, values);
}

void OnnxModel::add_metadata(const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *proto.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

}  // namespace convoy
