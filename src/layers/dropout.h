// Dropout (Srivastava et al., 2014): nothing but its input at evaluation.
#pragma once

#include <cstdint>

#include "kernels/elementwise.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Drop {
  using Calls = TypeList<Dropout>;
  static constexpr bool pointwise = true;
  float rate = 0;
  std::uint32_t layer = 0;  ///< which dropout of the network: its stream of random numbers
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct DropoutConfig {
  using Op = op::Drop;
  float rate = 0.5f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const DropoutConfig&) const = default;
};

}  // namespace convoy
