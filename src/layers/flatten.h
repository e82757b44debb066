// Pixels and channels into one axis.
#pragma once

#include "core/type_list.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Flatten {
  using Calls = TypeList<>;
  static constexpr bool pointwise = false;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct FlattenConfig {
  using Op = op::Flatten;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const FlattenConfig&) const = default;
};

}  // namespace convoy
