// Writes a network's ONNX nodes: what an operation's write() (src/layers/layer.h) has at hand.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "src/io/safetensors.h"
#include "src/model/graph.h"

namespace convoy {

class OnnxModel;

/// What the ONNX model has for a node's output.
struct OnnxValue {
  std::string name;
  bool flat = false;  ///< (N,C) rather than (N,C,H,W)
  /// Its features were flattened as (D,H,W,C), as in memory, rather than (C,D,H,W), as in files.
  bool memory_order = false;
};

struct OnnxAttribute {
  const char* name;
  std::variant<std::int64_t, float, std::vector<std::int64_t>> value;
};

class OnnxWriter {
 public:
  /// All three outlive the writer.
  OnnxWriter(const Graph& graph, const TensorFile& weights, OnnxModel& model);

  // --- the node that is written ---

  const Node& node() const { return graph_.nodes[current_]; }
  /// Its inputs.
  const OnnxValue& x(std::size_t which = 0) const { return values_[input(which)]; }
  const FeatureShape& shape_of_x(std::size_t which = 0) const { return graph_.nodes[input(which)].out; }
  /// Whether nothing but linear layers reads it, pointwise operations aside.
  bool feeds_linear_layers_alone() const { return feeds_linear_layers_alone(current_); }

  // --- its values: each returns a name ---

  /// An operator of ONNX whose one output has the node's name, or that name with `suffix`.
  std::string emit(const char* type, const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {}, const std::string& suffix = "");
  /// The values of a file, of shape Parameter::file_shape; with memory_order as they lie in memory.
  std::string parameter(int index, bool memory_order = false);
  std::string statistic(int index);
  std::string number(float value);
  std::string matrix(std::int64_t rows, std::int64_t columns, const std::vector<float>& values,
                     const std::string& suffix);
  std::string numbers(const std::vector<std::int64_t>& values);
  /// `count` of them.
  std::string equal_numbers(std::int64_t count, float value);
  /// As (N,C), which has one pixel.
  OnnxValue flattened(const OnnxValue& value);
  /// As (N,C,H,W), of the shape of the first input.
  std::string with_axes(const OnnxValue& value);
  /// (N,C,H,W) as (N,H,W,C).
  std::string channels_last(const std::string& value);
  /// And back; the result has the node's name.
  std::string channels_first(const std::string& value);
  /// Flat where the first input is, in its order.
  OnnxValue like_x(const std::string& name) const { return {name, x().flat, x().memory_order}; }

  /// The axes that the network has: (H,W), or (D,H,W).
  std::vector<std::int64_t> spatial(const Axes& axes) const;
  /// Beginnings, then ends, which are the same.
  std::vector<std::int64_t> pads(const Axes& axes) const;

 protected:
  std::size_t input(std::size_t which) const { return static_cast<std::size_t>(node().inputs[which]); }
  /// Nodes of all operations but the first, whose value is `first`; returns the last one's value.
  OnnxValue write_nodes(const OnnxValue& first);

  const Graph& graph_;
  const TensorFile& weights_;
  OnnxModel& model_;
  const int axes_;  ///< 2 for images, 3 for volumes

 private:
  bool feeds_linear_layers_alone(std::size_t node) const;
  std::vector<float> weights_of(const std::string& name, const std::vector<std::int64_t>& shape) const;

  std::vector<OnnxValue> values_;                 ///< one per node
  std::map<std::string, std::string> flattened_;  ///< by the value that is
  std::size_t current_ = 0;
};

}  // namespace convoy
