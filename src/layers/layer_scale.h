// A learned factor per channel (Touvron et al., "Going deeper with Image Transformers", 2021).
#pragma once

#include "core/type_list.h"
#include "kernels/scaling.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct LayerScale {
  using Calls = TypeList<>;
  static constexpr bool pointwise = false;
  int weight = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct LayerScaleConfig {  ///< `layer_scale: 1e-6`
  using Op = op::LayerScale;
  float initial = 1e-6f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const LayerScaleConfig&) const = default;
};

}  // namespace convoy
