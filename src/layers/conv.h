// Convolution of images and volumes.
#pragma once

#include <optional>

#include "core/type_list.h"
#include "kernels/conv/conv.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Conv {
  using Calls = TypeList<ConvForward, ConvDgrad, ConvWgrad>;
  static constexpr bool pointwise = false;
  ConvShape shape;  ///< n = 0
  int weight = -1, bias = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ConvConfig {
  using Op = op::Conv;
  int out = 0;
  AxisValues kernel, stride{1}, dilation{1};
  std::optional<AxisValues> pad = AxisValues{0};  ///< empty for `same`: half of dilation * (kernel - 1), even
  int groups = 1;
  bool bias = true;
  Init init = Init::he;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ConvConfig&) const = default;
};

}  // namespace convoy
