// The activations of kernels/activations.h as layers.
#pragma once

#include "kernels/elementwise.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Activate {
  using Calls = TypeList<ActivationForward, ActivationBackward>;
  static constexpr bool pointwise = true;
  Activation kind = Activation::relu;
  float parameter = 0.0f;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ActivationConfig {
  using Op = op::Activate;
  Activation kind = Activation::relu;
  float parameter = 0.0f;  ///< the slope of leaky_relu
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ActivationConfig&) const = default;
};

}  // namespace convoy
