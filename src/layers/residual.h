// The sum of two branches (He et al., 2016).
#pragma once

#include "core/type_list.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Sum {  ///< of its two inputs
  using Calls = TypeList<>;
  static constexpr bool pointwise = false;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ResidualConfig {
  using Op = op::Sum;
  std::vector<LayerConfig> body, shortcut;  ///< shortcut empty: identity
  /// Every list of layers inside, to count and to look through.
  std::vector<const std::vector<LayerConfig>*> branches() const { return {&body, &shortcut}; }
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ResidualConfig& other) const;
};

}  // namespace convoy
