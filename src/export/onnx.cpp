#include "src/export/onnx.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <set>
#include <utility>

#include "core/error.h"
#include "src/export/onnx_model.h"
#include "src/export/onnx_pictures.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

constexpr int ir_version = 8, opset = 18;

/// Builds the model node by node: one `write` per operation of the graph, as src/plan/steps.cpp has its
/// calls. An operation without one does not compile.
class Writer {
 public:
  Writer(const Graph& graph, const TensorFile& weights, const OnnxDescription& description)
      : graph_(graph), weights_(weights), description_(description), axes_(graph.input().d == 1 ? 2 : 3) {
    onnx::ModelProto& model = out_.proto;
    model.set_ir_version(ir_version);
    model.add_opset_import()->set_version(opset);
    model.set_producer_name("convoy");
    model.set_producer_version(description.version);
    model.mutable_graph()->set_name(description.name);
  }

  std::string run() {
    write_input();
    for (std::size_t i = 1; i < graph_.nodes.size(); ++i) {
      current_ = i;
      values_.push_back(std::visit([&](const auto& o) { return write(o); }, node().op));
    }
    write_output();
    describe();
    return out_.proto.SerializeAsString();
  }

 private:
  /// What the ONNX model has for a node's output.
  struct Value {
    std::string name;
    bool flat = false;  ///< (N,C) rather than (N,C,H,W)
    /// Its features were flattened as (D,H,W,C), as in memory, rather than (C,D,H,W), as in files.
    bool memory_order = false;
  };

  const Node& node() const { return graph_.nodes[current_]; }
  const Value& x(std::size_t which = 0) const {
    return values_[static_cast<std::size_t>(node().inputs[which])];
  }
  const FeatureShape& shape_of_x() const {
    return graph_.nodes[static_cast<std::size_t>(node().inputs[0])].out;
  }

  // --- pieces of the file ---

  onnx::NodeProto& emit(const std::string& type, const std::vector<std::string>& inputs,
                        const std::string& name) {
    return out_.emit(type, inputs, name);
  }
  template <class Value>
  static void set(onnx::NodeProto& node, const char* name, const Value& value) {
    OnnxModel::set(node, name, value);
  }
  /// The axes that the network has: (H,W), or (D,H,W).
  std::vector<std::int64_t> spatial(const Axes& axes) const { return {axes.end() - axes_, axes.end()}; }
  /// Beginnings, then ends, which are the same.
  std::vector<std::int64_t> pads(const Axes& axes) const {
    std::vector<std::int64_t> both = spatial(axes);
    both.insert(both.end(), axes.end() - axes_, axes.end());
    return both;
  }

  std::vector<float> weights_of(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const std::span<const float> values = floats_in(weights_, name, shape);
    return {values.begin(), values.end()};
  }
  std::string parameter(int index, bool memory_order = false) {
    const Parameter& parameter = graph_.parameters[static_cast<std::size_t>(index)];
    std::vector<float> values = weights_of(parameter.name, parameter.file_shape);
    if (memory_order) values = from_file_order(parameter, values);
    return out_.constant(parameter.name, parameter.file_shape, values);
  }
  std::string statistic(int index) {
    const Statistic& statistic = graph_.statistics[static_cast<std::size_t>(index)];
    return out_.constant(statistic.name, {statistic.count}, weights_of(statistic.name, {statistic.count}));
  }

  /// As (N,C): of one pixel.
  Value flattened(const Value& value) {
    if (value.flat) return value;
    const std::string name = value.name + ".flat";
    if (flattened_.insert(name).second) set(emit("Flatten", {value.name}, name), "axis", std::int64_t{1});
    return {name, true};
  }
  /// As (N,C,H,W).
  Value unflattened(const Value& value, const FeatureShape& shape) {
    if (!value.flat) return value;
    std::vector<std::int64_t> dims{0, shape.c};  // 0: as it is
    dims.resize(static_cast<std::size_t>(2 + axes_), 1);
    const std::string to =
        out_.constant(node().name + ".shape", {static_cast<std::int64_t>(dims.size())}, dims);
    return {emit("Reshape", {value.name, to}, node().name + ".unflat").name()};
  }

  // --- one rule per operation ---

  Value write(const op::Input&) { return {}; }  // the first node, which write_input() writes

  Value write(const op::Conv& o) {
    std::vector<std::string> inputs{unflattened(x(), shape_of_x()).name, parameter(o.weight)};
    if (o.bias >= 0) inputs.push_back(parameter(o.bias));
    onnx::NodeProto& conv = emit("Conv", inputs, node().name);
    set(conv, "kernel_shape", spatial({o.shape.t, o.shape.r, o.shape.s}));
    set(conv, "strides", spatial(o.shape.stride));
    set(conv, "pads", pads(o.shape.pad));
    set(conv, "dilations", spatial(o.shape.dilation));
    return {node().name};
  }

  Value write(const op::Linear& o) {
    const Value in = flattened(x());
    std::vector<std::string> inputs{in.name, parameter(o.weight, in.memory_order)};
    if (o.bias >= 0) inputs.push_back(parameter(o.bias));
    set(emit("Gemm", inputs, node().name), "transB", std::int64_t{1});
    return {node().name, true};
  }

  Value write(const op::Pool& o) {
    const std::string in = unflattened(x(), shape_of_x()).name;
    const PoolShape& shape = o.shape;
    const Axes whole{shape.in.d, shape.in.h, shape.in.w};
    if (!o.max && shape.kernel == whole && shape.pad == Axes{0, 0, 0})
      return {emit("GlobalAveragePool", {in}, node().name).name()};
    onnx::NodeProto& pool = emit(o.max ? "MaxPool" : "AveragePool", {in}, node().name);
    set(pool, "kernel_shape", spatial(shape.kernel));
    set(pool, "strides", spatial(shape.stride));
    set(pool, "pads", pads(shape.pad));
    if (!o.max) set(pool, "count_include_pad", std::int64_t{1});
    return {node().name};
  }

  Value write(const op::BatchNorm& o) {
    const std::vector<std::string> inputs{x().name, parameter(o.gamma), parameter(o.beta),
                                          statistic(o.running_mean), statistic(o.running_var)};
    set(emit("BatchNormalization", inputs, node().name), "epsilon", o.config.epsilon);
    return like_x(node().name);
  }

  Value write(const op::Activate& o) {
    const std::string& name = node().name;
    switch (o.config.kind) {
      case Activation::relu:
        return like_x(emit("Relu", {x().name}, name).name());
      case Activation::leaky_relu:
        set(emit("LeakyRelu", {x().name}, name), "alpha", o.config.slope);
        return like_x(name);
      case Activation::tanh:
        return like_x(emit("Tanh", {x().name}, name).name());
      case Activation::sigmoid:
        return like_x(emit("Sigmoid", {x().name}, name).name());
      case Activation::gelu: {  // x/2 (1 + erf(x / sqrt 2)); opset 18 has no Gelu yet
        emit("Mul", {x().name, out_.number(1 / std::numbers::sqrt2_v<float>)}, name + ".scaled");
        emit("Erf", {name + ".scaled"}, name + ".erf");
        emit("Add", {name + ".erf", out_.number(1)}, name + ".gate");
        emit("Mul", {x().name, name + ".gate"}, name + ".twice");
        return like_x(emit("Mul", {name + ".twice", out_.number(0.5f)}, name).name());
      }
    }
    fail("layer {}: its activation has no counterpart in ONNX", name);
  }
  Value like_x(const std::string& name) const { return {name, x().flat, x().memory_order}; }

  Value write(const op::Drop&) { return x(); }

  /// Only a linear layer's weights can make up for the order of features, which differs from memory's.
  bool feeds_linear_layers_alone(std::size_t of) const {
    bool found = false;
    for (std::size_t i = of + 1; i < graph_.nodes.size(); ++i) {
      for (const int input : graph_.nodes[i].inputs) {
        if (static_cast<std::size_t>(input) != of) continue;
        found = true;
        const Op& op = graph_.nodes[i].op;
        const bool passes_on =
            std::holds_alternative<op::Activate>(op) || std::holds_alternative<op::Drop>(op);
        if (!std::holds_alternative<op::Linear>(op) && !(passes_on && feeds_linear_layers_alone(i)))
          return false;
      }
    }
    return found;
  }
  Value write(const op::Flatten&) {
    if (x().flat || shape_of_x().pixels() == 1) return flattened(x());
    std::string in = x().name;
    const bool memory_order = !feeds_linear_layers_alone(current_);
    if (memory_order) {
      std::vector<std::int64_t> channels_last{0};
      for (int axis = 0; axis < axes_; ++axis) channels_last.push_back(2 + axis);
      channels_last.push_back(1);
      in = emit("Transpose", {in}, node().name + ".channels_last").name();
      set(*out_.proto.mutable_graph()->mutable_node()->rbegin(), "perm", channels_last);
    }
    set(emit("Flatten", {in}, node().name), "axis", std::int64_t{1});
    return {node().name, true, memory_order};
  }

  Value write(const op::Sum&) {
    const bool flat = x(0).flat || x(1).flat;
    const Value a = flat ? flattened(x(0)) : x(0), b = flat ? flattened(x(1)) : x(1);
    return {emit("Add", {a.name, b.name}, node().name).name(), flat, a.memory_order || b.memory_order};
  }

  // --- ends ---

  static void set_type(onnx::ValueInfoProto& value, const std::string& name, onnx::TensorProto::DataType type,
                       const std::vector<std::int64_t>& dims) {
    value.set_name(name);
    onnx::TypeProto::Tensor& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape()->add_dim()->set_dim_param("N");
    for (const std::int64_t dim : dims) tensor.mutable_shape()->add_dim()->set_dim_value(dim);
  }

  void write_input() {
    onnx::ValueInfoProto& input = *out_.proto.mutable_graph()->add_input();
    const FeatureShape& image = graph_.input();
    if (!description_.pictures) {
      std::vector<std::int64_t> dims{image.c};
      for (const std::int64_t length : spatial({image.d, image.h, image.w})) dims.push_back(length);
      set_type(input, "images", onnx::TensorProto::FLOAT, dims);
      return normalize("images");
    }
    check(takes_pictures(graph_), "pictures for a network that takes none");
    set_type(input, "images", onnx::TensorProto::UINT8, {});
    for (const char* length : {"H", "W", "C"})
      input.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_param(length);
    const std::string levels =
        show_pictures(out_, "images", *description_.pictures, {image.h, image.w}, image.c);
    emit("Div", {levels, out_.number(255)}, "pixels");
    normalize("pixels");
  }

  /// The first node's value from pixels in [0,1].
  void normalize(const std::string& pixels) {
    const auto channels = static_cast<std::size_t>(graph_.input().c);
    check(description_.mean.size() == channels && description_.std.size() == channels, "a mean per channel");
    std::vector<float> mean, factor;
    for (std::size_t c = 0; c < channels; ++c) {
      mean.push_back(static_cast<float>(description_.mean[c]));
      factor.push_back(static_cast<float>(1.0 / description_.std[c]));
    }
    std::vector<std::int64_t> per_channel(static_cast<std::size_t>(2 + axes_), 1);
    per_channel[1] = graph_.input().c;
    emit("Sub", {pixels, out_.constant("normalize.mean", per_channel, mean)}, "normalize.centred");
    emit("Mul", {"normalize.centred", out_.constant("normalize.factor", per_channel, factor)}, "normalize");
    values_.push_back({"normalize"});
  }

  void write_output() {
    current_ = graph_.nodes.size() - 1;
    const Value last = flattened(values_.back());
    emit("Identity", {last.name}, "logits");
    set_type(*out_.proto.mutable_graph()->add_output(), "logits", onnx::TensorProto::FLOAT,
             {graph_.classes()});
  }

  void describe() {
    const std::string input = description_of_input(graph_, description_.pictures);
    onnx::GraphProto& graph = *out_.proto.mutable_graph();
    out_.proto.set_doc_string(input);
    graph.mutable_input(0)->set_doc_string(input);
    graph.mutable_output(0)->set_doc_string("one score per class, before softmax");
    out_.add_metadata("input", input);
    if (!description_.class_names.empty())
      out_.add_metadata("class_names", to_json_line(nlohmann::json(description_.class_names)));
  }

  const Graph& graph_;
  const TensorFile& weights_;
  const OnnxDescription& description_;
  const int axes_;  ///< 2 for images, 3 for volumes
  OnnxModel out_;
  std::vector<Value> values_;  ///< one per node
  std::set<std::string> flattened_;
  std::size_t current_ = 0;
};

}  // namespace

bool takes_pictures(const Graph& graph) {
  const FeatureShape& image = graph.input();
  return image.d == 1 && (image.c == 1 || image.c == 3);
}

std::string description_of_input(const Graph& graph, const std::optional<PictureView>& pictures) {
  const FeatureShape& image = graph.input();
  if (pictures)
    return fmt::format(
        "images: uint8 (N,H,W,C), the pixels of pictures of any size, C = 3 (RGB) or 1 (gray); the model "
        "resizes the shorter side to {}, cuts out the middle {} x {}{} and normalises it",
        pictures->shorter, image.h, image.w, image.c == 1 ? ", makes it gray" : "");
  return fmt::format(
      "images: float (N,{}), channels first, pixels / 255 in [0,1], {}; the model normalises them itself",
      image.d == 1 ? "C,H,W" : "C,D,H,W", image.c == 3 ? "RGB" : "channels in the data's order");
}

std::string to_onnx(const Graph& graph, const TensorFile& weights, const OnnxDescription& description) {
  return Writer(graph, weights, description).run();
}

}  // namespace convoy
