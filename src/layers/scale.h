// The main path times a branch: attention to channels, or to single values.
#pragma once

#include "core/type_list.h"
#include "kernels/scaling.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Scale {  ///< its first input times its second, which has its shape or one pixel
  using Calls = TypeList<ScalePixels, ScaleGradient>;
  static constexpr bool pointwise = false;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ScaleConfig {  ///< `scale: [...]`
  using Op = op::Scale;
  std::vector<LayerConfig> branch;
  std::vector<const std::vector<LayerConfig>*> branches() const { return {&branch}; }
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ScaleConfig& other) const;
};

}  // namespace convoy
