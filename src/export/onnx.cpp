#include "src/export/onnx.h"

#include <fmt/format.h>

#include <utility>

#include "core/error.h"
#include "src/export/onnx_model.h"
#include "src/export/onnx_pictures.h"
#include "src/export/onnx_writer.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

constexpr int ir_version = 8, opset = 18;

/// The whole file: its input, the nodes of all operations, its output and what is said of them.
class ModelFile : private OnnxWriter {
 public:
  ModelFile(const Graph& graph, const TensorFile& weights, const OnnxDescription& description, OnnxModel& out)
      : OnnxWriter(graph, weights, out), description_(description), out_(out) {
    onnx::ModelProto& model = out_.proto;
    model.set_ir_version(ir_version);
    model.add_opset_import()->set_version(opset);
    model.set_producer_name("convoy");
    model.set_producer_version(description.version);
    model.mutable_graph()->set_name(description.name);
    for (const char* name : {"images", "logits"}) out_.reserve(name);
  }

  std::string run() {
    write_output(write_nodes({write_input()}));
    describe();
    return out_.proto.SerializeAsString();
  }

 private:
  static void set_type(onnx::ValueInfoProto& value, const std::string& name, onnx::TensorProto::DataType type,
                       const std::vector<std::int64_t>& dims) {
    value.set_name(name);
    onnx::TypeProto::Tensor& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape()->add_dim()->set_dim_param("N");
    for (const std::int64_t dim : dims) tensor.mutable_shape()->add_dim()->set_dim_value(dim);
  }

  /// Returns the name of the first node's value.
  std::string write_input() {
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
    out_.emit("Div", {levels, out_.number(255)}, "pixels");
    return normalize("pixels");
  }

  /// The first node's value from pixels in [0,1]; returns its name.
  std::string normalize(const std::string& pixels) {
    const auto channels = static_cast<std::size_t>(graph_.input().c);
    check(description_.mean.size() == channels && description_.std.size() == channels, "a mean per channel");
    std::vector<float> mean, factor;
    for (std::size_t c = 0; c < channels; ++c) {
      mean.push_back(static_cast<float>(description_.mean[c]));
      factor.push_back(static_cast<float>(1.0 / description_.std[c]));
    }
    std::vector<std::int64_t> per_channel(static_cast<std::size_t>(2 + axes_), 1);
    per_channel[1] = graph_.input().c;
    out_.emit("Sub", {pixels, out_.constant("normalize.mean", per_channel, mean)}, "normalize.centred");
    return out_
        .emit("Mul", {"normalize.centred", out_.constant("normalize.factor", per_channel, factor)},
              "normalize")
        .name();
  }

  void write_output(const OnnxValue& last) {
    out_.emit_reserved("Identity", {flattened(last).name}, "logits");
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

  const OnnxDescription& description_;
  OnnxModel& out_;
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
  OnnxModel model;
  return ModelFile(graph, weights, description, model).run();
}

}  // namespace convoy
