// The network: nodes with inferred shapes, parameters with names and initialisers. Knows no device and no
// batch size.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/shape.h"
#include "src/config/config.h"
#include "src/layers/all.h"

namespace convoy {

/// A trained tensor. `dims` is the order in memory; files hold the dimensions in `file_order`, viewed as
/// `file_shape`, which is PyTorch's: a convolution's (K,T,R,S,C) is stored as [K,C,R,S], a linear layer
/// behind a flatten has its (K, H,W,C) columns stored as [K, C·H·W].
struct Parameter {
  std::string name;  ///< its layer's and PyTorch's: "3.weight", "4.body.0.bias", "layer1.0.conv1.weight"
  std::vector<std::int64_t> dims;
  std::vector<int> file_order;
  std::vector<std::int64_t> file_shape;
  Init init = Init::zeros;
  std::int64_t fan_in = 1, fan_out = 1;
  bool is_weight = false;  ///< weight decay applies; not to biases and normalisation parameters
  int groups = 1;          ///< of a convolution's filters

  float constant = 0;  ///< of Init::constant

  std::int64_t count() const;
};

/// State that is not trained by gradient: BatchNorm's running averages, (C) each.
struct Statistic {
  std::string name;
  std::int64_t count = 0;
  double initial = 0;
  float momentum = 0.1f;  ///< how far a batch moves it
};

struct Node {
  std::string name;  ///< in the layer list, or path there: "layer1.0.conv1", "3", "4.body.0"
  Op op;
  std::vector<int> inputs;  ///< indices of earlier nodes
  FeatureShape out;
  std::vector<int> parameters;  ///< its own, indices of Graph::parameters
};

/// Whether the operation treats all features alike.
inline bool is_pointwise(const Op& op) {
  return std::visit([](const auto& o) { return o.pointwise; }, op);
}

struct Graph {
  std::vector<Node> nodes;  ///< in execution order; the first is the input, the last gives the logits
  std::vector<Parameter> parameters;
  std::vector<Statistic> statistics;

  const FeatureShape& input() const { return nodes.front().out; }
  int classes() const { return nodes.back().out.c; }
  std::int64_t parameter_count() const;
};

/// Infers every shape. Throws Error (exit code 2) naming file and line of a layer that does not fit its
/// input.
Graph build_graph(const ModelConfig& config);

/// The initial value of a parameter, in memory order: a function of (seed, parameter name) alone.
/// He: He et al., 2015; Glorot: Glorot & Bengio, 2010; Dirac: identity on the centre tap; uniform_fan:
/// U(±1/sqrt(fan_in)), the usual one for biases.
std::vector<float> initial_value(const Parameter& parameter, std::uint64_t seed);

/// Whether files hold the values as they lie in memory.
bool is_in_file_order(const Parameter& parameter);
/// `values` in memory order -> file order, and back. Works on any element type.
template <class T>
std::vector<T> to_file_order(const Parameter& parameter, const std::vector<T>& values);
template <class T>
std::vector<T> from_file_order(const Parameter& parameter, const std::vector<T>& values);
/// The same, into memory that is there.
void from_file_order(const Parameter& parameter, std::span<const float> values, std::span<float> out);

}  // namespace convoy
