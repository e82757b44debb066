#include "src/model/graph.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "core/error.h"

namespace convoy {
namespace {

std::int64_t product(const std::vector<std::int64_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

/// Of an image's features and of a parameter: kernels and MPI count in int.
constexpr double most_elements = std::numeric_limits<int>::max();

/// In floating point, which does not overflow.
double elements_of(const FeatureShape& shape) {
  return static_cast<double>(shape.d) * shape.h * shape.w * shape.c;
}

/// Builds a graph layer by layer. One `add` per layer type: its shape rule and its parameters.
class Builder {
 public:
  explicit Builder(const FeatureShape& input) : image_(input.d == 1) {
    graph_.nodes.push_back({"input", op::Input{}, {}, input});
  }

  int chain(const std::vector<LayerConfig>& layers, int input, const std::string& prefix) {
    int index = 0;
    for (const LayerConfig& layer : layers) {
      layer_ = &layer;
      const std::string name = prefix + std::to_string(index++);
      input = std::visit([&](const auto& config) { return add(config, input, name); }, layer.layer);
    }
    return input;
  }

  Graph finish() && { return std::move(graph_); }

 private:
  template <class... Args>
  [[noreturn]] void reject(const std::string& name, fmt::format_string<Args...> format,
                           Args&&... args) const {
    fail_usage("{}: layer {}: {}", layer_->mark.text(), name,
               fmt::format(format, std::forward<Args>(args)...));
  }

  const FeatureShape& shape(int node) const { return graph_.nodes[static_cast<std::size_t>(node)].out; }

  int push(std::string name, Op op, std::vector<int> inputs, FeatureShape out) {
    if (elements_of(out) > most_elements)
      reject(name, "its output {} has more than 2^31 - 1 elements per image", to_string(out));
    graph_.nodes.push_back({std::move(name), std::move(op), std::move(inputs), out});
    return static_cast<int>(graph_.nodes.size()) - 1;
  }
  int push(Parameter parameter) {
    double elements = 1;
    for (const std::int64_t dim : parameter.dims) elements *= static_cast<double>(dim);
    if (elements > most_elements) {
      fail_usage("{}: model.layers.{}: {:.0f} elements; the limit is 2^31 - 1", layer_->mark.text(),
                 parameter.name, elements);
    }
    graph_.parameters.push_back(std::move(parameter));
    return static_cast<int>(graph_.parameters.size()) - 1;
  }
  int push(Statistic statistic) {
    graph_.statistics.push_back(std::move(statistic));
    return static_cast<int>(graph_.statistics.size()) - 1;
  }

  static Parameter vector_parameter(const std::string& name, std::int64_t count, Parameter::Init init,
                                    std::int64_t fan_in) {
    return {name, {count}, {0}, {count}, init, fan_in, count, false};
  }

  Parameter::Init weight_init() const {
    switch (layer_->init) {
      case InitScheme::he:
        return Parameter::Init::he;
      case InitScheme::glorot:
        return Parameter::Init::glorot;
      case InitScheme::dirac:
        return Parameter::Init::dirac;
    }
    return Parameter::Init::he;
  }

  /// One number for all axes, or one per axis; the depth of images is `flat`.
  Axes axes(const std::string& name, const char* key, const AxisValues& values, int flat) const {
    if (values.size() == 1) return {image_ ? flat : values[0], values[0], values[0]};
    if (values.size() == 2 && image_) return {flat, values[0], values[1]};
    if (values.size() == 3 && !image_) return {values[0], values[1], values[2]};
    reject(name, "{}: {} numbers given, the input has {} axes", key, values.size(), image_ ? 2 : 3);
  }

  Axes same_pad(const std::string& name, const Axes& kernel, const Axes& dilation) const {
    Axes pad{};
    for (std::size_t i = 0; i < 3; ++i) {
      const int span = dilation[i] * (kernel[i] - 1);
      if (span % 2 != 0)
        reject(name, "pad: same needs an odd kernel, this one is {}; give pad as a number", kernel[i]);
      pad[i] = span / 2;
    }
    return pad;
  }

  int add(const ConvConfig& config, int input, const std::string& name) {
    const FeatureShape in = shape(input);
    ConvShape conv;
    conv.in = in;
    conv.k = config.out;
    const Axes kernel = axes(name, "kernel", config.kernel, 1);
    conv.t = kernel[0], conv.r = kernel[1], conv.s = kernel[2];
    conv.stride = axes(name, "stride", config.stride, 1);
    conv.dilation = axes(name, "dilation", config.dilation, 1);
    conv.pad = config.pad ? axes(name, "pad", *config.pad, 0) : same_pad(name, kernel, conv.dilation);
    const FeatureShape out = conv.out();
    if (out.pixels() == 0) {
      reject(name, "a kernel of {}x{} does not fit the input {}", conv.r, conv.s, to_string(in));
    }
    op::Conv node{conv};
    Parameter weight;
    weight.name = name + ".weight";
    weight.dims = {conv.k, conv.t, conv.r, conv.s, in.c};
    weight.file_order = {0, 4, 1, 2, 3};
    weight.file_shape = image_ ? std::vector<std::int64_t>{conv.k, in.c, conv.r, conv.s}
                               : std::vector<std::int64_t>{conv.k, in.c, conv.t, conv.r, conv.s};
    weight.init = weight_init();
    weight.fan_in = conv.taps() * in.c;
    weight.fan_out = conv.taps() * conv.k;
    weight.is_weight = true;
    const std::int64_t fan_in = weight.fan_in;
    node.weight = push(std::move(weight));
    if (config.bias)
      node.bias = push(vector_parameter(name + ".bias", conv.k, Parameter::Init::uniform_fan, fan_in));
    return push(name, node, {input}, out);
  }

  /// What was flattened into this flat node, if only calls that treat all features alike came after; else the
  /// node's own shape.
  FeatureShape unflattened(int index) const {
    const Node* node = &graph_.nodes[static_cast<std::size_t>(index)];
    while (std::holds_alternative<op::Activate>(node->op) || std::holds_alternative<op::Drop>(node->op))
      node = &graph_.nodes[static_cast<std::size_t>(node->inputs[0])];
    return std::holds_alternative<op::Flatten>(node->op) ? shape(node->inputs[0]) : shape(index);
  }

  int add(const LinearConfig& config, int input, const std::string& name) {
    const FeatureShape in = shape(input);
    if (in.pixels() != 1) {
      reject(name, "linear needs a flat input, this one is {}: put flatten or globalavgpool before it",
             to_string(in));
    }
    // Behind a flatten the columns are (D,H,W,C) here and (C,D,H,W) in files.
    const FeatureShape before = unflattened(input);
    op::Linear node{in.c, config.out};
    Parameter weight;
    weight.name = name + ".weight";
    weight.dims = {config.out, before.pixels(), before.c};
    weight.file_order = {0, 2, 1};
    weight.file_shape = {config.out, in.c};
    weight.init = weight_init();
    if (weight.init == Parameter::Init::dirac) reject(name, "init: dirac is for convolutions");
    weight.fan_in = in.c;
    weight.fan_out = config.out;
    weight.is_weight = true;
    node.weight = push(std::move(weight));
    if (config.bias)
      node.bias = push(vector_parameter(name + ".bias", config.out, Parameter::Init::uniform_fan, in.c));
    return push(name, node, {input}, {1, 1, 1, config.out});
  }

  int add(const PoolConfig& config, int input, const std::string& name) {
    PoolShape pool;
    pool.in = shape(input);
    pool.kernel = axes(name, "kernel", config.kernel, 1);
    pool.stride = config.stride.empty() ? pool.kernel : axes(name, "stride", config.stride, 1);
    pool.pad = axes(name, "pad", config.pad, 0);
    for (std::size_t i = 0; i < 3; ++i) {
      if (pool.pad[i] * 2 > pool.kernel[i]) reject(name, "pad {} is more than half the kernel", pool.pad[i]);
    }
    if (pool.out().pixels() == 0) {
      reject(name, "a window of {}x{} does not fit the input {}", pool.kernel[1], pool.kernel[2],
             to_string(pool.in));
    }
    if (config.max && pool.taps() > 255)
      reject(name, "a max window has at most 255 taps, this one {}", pool.taps());
    return push(name, op::Pool{pool, config.max}, {input}, pool.out());
  }

  int add(const GlobalAvgPoolConfig&, int input, const std::string& name) {
    PoolShape pool;
    pool.in = shape(input);
    pool.kernel = pool.stride = {pool.in.d, pool.in.h, pool.in.w};
    return push(name, op::Pool{pool, false}, {input}, pool.out());
  }

  int add(const BatchNormConfig& config, int input, const std::string& name) {
    const std::int64_t c = shape(input).c;
    op::BatchNorm node{config};
    node.gamma = push(vector_parameter(name + ".weight", c, Parameter::Init::ones, c));
    node.beta = push(vector_parameter(name + ".bias", c, Parameter::Init::zeros, c));
    node.running_mean = push(Statistic{name + ".running_mean", c, 0.0, config.momentum});
    node.running_var = push(Statistic{name + ".running_var", c, 1.0, config.momentum});
    return push(name, node, {input}, shape(input));
  }

  int add(const ActivationConfig& config, int input, const std::string& name) {
    return push(name, op::Activate{config}, {input}, shape(input));
  }

  int add(const DropoutConfig& config, int input, const std::string& name) {
    return push(name, op::Drop{config.rate, dropouts_++}, {input}, shape(input));
  }

  int add(const FlattenConfig&, int input, const std::string& name) {
    const std::int64_t count = shape(input).count();
    return push(name, op::Flatten{}, {input}, {1, 1, 1, static_cast<int>(count)});
  }

  int add(const ResidualConfig& config, int input, const std::string& name) {
    const LayerConfig* const self = layer_;
    const int body = chain(config.body, input, name + ".body.");
    const int shortcut = chain(config.shortcut, input, name + ".shortcut.");
    layer_ = self;
    if (shape(body) != shape(shortcut)) {
      reject(name, "residual: the body gives {}, the shortcut {}", to_string(shape(body)),
             to_string(shape(shortcut)));
    }
    return push(name, op::Sum{}, {body, shortcut}, shape(body));
  }

  Graph graph_;
  bool image_;
  const LayerConfig* layer_ = nullptr;
  std::uint32_t dropouts_ = 0;
};

/// So many elements, `stride` apart in memory.
struct Axis {
  std::int64_t length, stride;
};

/// The axes of a parameter in the order of files. Those that lie in memory as in files are one.
std::vector<Axis> file_axes(const Parameter& parameter) {
  const std::size_t rank = parameter.dims.size();
  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t i = rank - 1; i > 0; --i) strides[i - 1] = strides[i] * parameter.dims[i];
  std::vector<Axis> axes{{1, parameter.count()}};
  for (const int dim : parameter.file_order) {
    const Axis axis{parameter.dims[static_cast<std::size_t>(dim)], strides[static_cast<std::size_t>(dim)]};
    if (axis.length == 1) continue;
    if (axes.back().stride == axis.length * axis.stride)
      axes.back() = {axes.back().length * axis.length, axis.stride};
    else
      axes.push_back(axis);
  }
  return axes;
}

/// Calls f(memory index, file index) for every element along the axes, of indices from these on. The last two
/// axes are walked in tiles, so that cache lines on both sides are used whole.
template <class F>
void for_each_index(std::span<const Axis> axes, std::int64_t memory, std::int64_t file, F& f) {
  if (axes.size() > 2) {
    std::int64_t count = 1;  // of one step along the first axis
    for (const Axis& axis : axes.subspan(1)) count *= axis.length;
    for (std::int64_t i = 0; i < axes[0].length; ++i)
      for_each_index(axes.subspan(1), memory + i * axes[0].stride, file + i * count, f);
    return;
  }
  constexpr std::int64_t tile = 16;
  const Axis outer = axes[0], inner = axes.size() == 2 ? axes[1] : Axis{1, 0};
  for (std::int64_t begin = 0; begin < outer.length; begin += tile) {
    const std::int64_t end = std::min(begin + tile, outer.length);
    for (std::int64_t j = 0; j < inner.length; ++j) {
      for (std::int64_t i = begin; i < end; ++i)
        f(memory + i * outer.stride + j * inner.stride, file + i * inner.length + j);
    }
  }
}

template <class F>
void for_each_index(const Parameter& parameter, F f) {
  const std::vector<Axis> axes = file_axes(parameter);
  for_each_index(std::span(axes), 0, 0, f);
}

template <class T>
void from_files(const Parameter& parameter, const T* values, T* out) {
  for_each_index(parameter, [=](std::int64_t memory, std::int64_t file) { out[memory] = values[file]; });
}

}  // namespace

std::int64_t Parameter::count() const {
  return product(dims);
}

std::int64_t Graph::parameter_count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters) total += parameter.count();
  return total;
}

Graph build_graph(const ModelConfig& config) {
  const FeatureShape input = feature_shape(config.input);
  if (elements_of(input) > most_elements) {
    fail_usage("{}: model.input: an image {} has more than 2^31 - 1 elements", config.mark.text(),
               to_string(input));
  }
  Builder builder(input);
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

bool is_in_file_order(const Parameter& parameter) {
  return file_axes(parameter).size() == 1;
}

template <class T>
std::vector<T> to_file_order(const Parameter& parameter, const std::vector<T>& values) {
  if (is_in_file_order(parameter)) return values;
  std::vector<T> out(values.size());
  for_each_index(parameter, [to = out.data(), from = values.data()](std::int64_t memory, std::int64_t file) {
    to[file] = from[memory];
  });
  return out;
}
template <class T>
std::vector<T> from_file_order(const Parameter& parameter, const std::vector<T>& values) {
  if (is_in_file_order(parameter)) return values;
  std::vector<T> out(values.size());
  from_files(parameter, values.data(), out.data());
  return out;
}
void from_file_order(const Parameter& parameter, std::span<const float> values, std::span<float> out) {
  check(std::cmp_equal(values.size(), parameter.count()) && out.size() == values.size(),
        "as many values as the parameter has");
  from_files(parameter, values.data(), out.data());
}
template std::vector<float> to_file_order(const Parameter&, const std::vector<float>&);
template std::vector<double> to_file_order(const Parameter&, const std::vector<double>&);
template std::vector<float> from_file_order(const Parameter&, const std::vector<float>&);
template std::vector<double> from_file_order(const Parameter&, const std::vector<double>&);

}  // namespace convoy
