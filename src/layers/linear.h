// Fully connected layer.
#pragma once

#include "core/type_list.h"
#include "kernels/linear.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Linear {
  using Calls = TypeList<LinearForward, LinearDgrad, LinearWgrad>;
  static constexpr bool pointwise = false;
  int in = 0, out = 0;
  int pixels = 1;  ///< of an image, each a row of the product
  int weight = -1, bias = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct LinearConfig {  ///< `linear: 128` or `linear: {out: 128, bias: true}`
  using Op = op::Linear;
  int out = 0;
  bool bias = true;
  bool per_pixel =
      false;  ///< of each pixel's channels, as a convolution 1x1 whose weight is a matrix in files
  Init init = Init::he;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const LinearConfig&) const = default;
};

}  // namespace convoy
