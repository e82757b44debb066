// Group normalisation over the pixels of an image and the channels of a group.
#pragma once

#include "core/type_list.h"
#include "kernels/groupnorm.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct GroupNorm {
  using Calls = TypeList<GroupNormStatistics, GroupNormForward, GroupNormReduce, GroupNormBackward>;
  static constexpr bool pointwise = false;
  int groups = 1;
  float epsilon = 1e-5f;
  int gamma = -1, beta = -1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct GroupNormConfig {  ///< `groupnorm: 32` or `groupnorm: {groups: 32, epsilon: 1e-5}`
  using Op = op::GroupNorm;
  int groups = 0;
  float epsilon = 1e-5f;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const GroupNormConfig&) const = default;
};

}  // namespace convoy
