// Squeeze-and-excitation (Hu, Shen & Sun, 2018): a factor per channel from the means of all channels.
#pragma once

#include "core/type_list.h"
#include "kernels/activations.h"
#include "src/layers/layer.h"

namespace convoy {

/// Stands for scale: [globalavgpool, conv (fc1), activation, conv (fc2), gate], named as in torchvision.
struct SqueezeExciteConfig {
  using Ops = TypeList<>;
  int squeeze = 0;  ///< channels between the two products
  Activation activation = Activation::relu, gate = Activation::sigmoid;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const SqueezeExciteConfig&) const = default;
};

}  // namespace convoy
