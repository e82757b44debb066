// Branches side by side along the channels.
#pragma once

#include "core/type_list.h"
#include "kernels/channels.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Concat {  ///< of all its inputs
  using Calls = TypeList<ConcatChannels>;
  static constexpr bool pointwise = false;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
struct Slice {  ///< a run of its input's channels, as many as its output has
  using Calls = TypeList<SliceChannels>;
  static constexpr bool pointwise = false;
  int first = 0;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ConcatConfig {  ///< `concat: [[...], [...]]` or `concat: {branches: [[...], [...]], split: true}`
  using Ops = TypeList<op::Concat, op::Slice>;
  std::vector<std::vector<LayerConfig>> lists;  ///< of layers, one per branch; an empty one is the identity
  bool split = false;                           ///< each branch takes its share of the channels, not all
  std::vector<const std::vector<LayerConfig>*> branches() const;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ConcatConfig& other) const;
};

}  // namespace convoy
