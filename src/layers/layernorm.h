// Layer normalisation over the channels of each pixel, or over flat features.
#pragma once

#include "core/type_list.h"
#include "kernels/layernorm.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct LayerNorm {
  using Calls = TypeList<LayerNormForward, LayerNormBackward, LayerNormWgrad>;
  static constexpr bool pointwise = false;
  float epsilon = 1e-5f;
  int gamma = -1, beta = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct LayerNormConfig {  ///< `layernorm` or `layernorm: {epsilon: 1e-6}`
  using Op = op::LayerNorm;
  float epsilon = 1e-5f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const LayerNormConfig&) const = default;
};

}  // namespace convoy
