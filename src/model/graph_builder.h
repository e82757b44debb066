// Builds a graph layer by layer: what a layer's add() (src/layers/layer.h) has at hand.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "src/model/graph.h"

namespace convoy {

class GraphBuilder {
 public:
  explicit GraphBuilder(const FeatureShape& input);

  /// Adds the layers one behind the other; returns the last node. A layer without a name is called prefix +
  /// its index in the list.
  int chain(const std::vector<LayerConfig>& layers, int input, const std::string& prefix);
  /// Adds a layer that the one being added is made of, called `name` inside it; returns its node.
  template <class Layer>
  int part(const std::string& name, const Layer& layer, int input) {
    const std::string outer = std::exchange(name_, name_ + "." + name);
    take_name(name_);
    const int node = layer.add(*this, input);
    name_ = outer;
    return node;
  }
  Graph finish() && { return std::move(graph_); }

  // --- for the layer that is being added ---

  /// Its name behind those of the named blocks around it: "layer1.0.conv1"; without a name of its own, its
  /// path in the list of layers: "3", "4.body.0".
  const std::string& name() const { return name_; }
  /// Of an image; of a node's output.
  bool is_image() const { return image_; }
  const FeatureShape& shape(int node) const { return graph_.nodes[static_cast<std::size_t>(node)].out; }
  /// What was flattened into this flat node, if only pointwise operations came after; else the node's own
  /// shape.
  FeatureShape unflattened(int node) const;

  /// One number for all axes, or one per axis; the depth of images is `flat`. `key`: for the message.
  Axes axes(const char* key, const AxisValues& values, int flat) const;

  /// Adds a parameter of the coming node; returns its index. `name` is put behind the layer's: "weight".
  /// Without one it has the layer's own.
  int parameter(const char* name, Parameter parameter);
  /// One value per channel.
  int vector_parameter(const char* name, std::int64_t count, Init init, std::int64_t fan_in);
  int statistic(const char* name, std::int64_t count, double initial, float momentum);
  /// A number of its own for each layer that draws random numbers while training.
  std::uint32_t random_stream() { return random_streams_++; }

  /// Adds a node, which owns the parameters added since the last one; returns its index.
  int node(Op op, std::vector<int> inputs, FeatureShape out);

  /// Throws Error (exit code 2) that names file, line and layer.
  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) const {
    reject_with(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void reject_with(const std::string& reason) const;
  /// Refuses a second layer or tensor of one name: files, ONNX and patterns know them by it.
  void take_name(const std::string& name);

  Graph graph_;
  bool image_;
  std::string name_;
  std::string block_;                  ///< of the named block around the layer, with a dot behind it
  std::map<std::string, Mark> taken_;  ///< names of layers and tensors, and where they stand
  const LayerConfig* layer_ = nullptr;
  std::vector<int> parameters_;  ///< of the coming node
  std::uint32_t random_streams_ = 0;
};

}  // namespace convoy
