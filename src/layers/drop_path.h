// Stochastic depth (Huang et al., 2016): of some images a residual's body counts as zero while training.
#pragma once

#include <cstdint>

#include "kernels/elementwise.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct DropImages {
  using Calls = TypeList<DropPath>;
  static constexpr bool pointwise = true;
  float rate = 0;
  std::uint32_t layer = 0;  ///< which of the network's random layers: its stream of random numbers
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct DropPathConfig {  ///< `drop_path: 0.1`, the last layer of a residual's body
  using Op = op::DropImages;
  float rate = 0.1f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const DropPathConfig&) const = default;
};

}  // namespace convoy
