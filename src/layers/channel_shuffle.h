// Channels of several groups taken in turn (Zhang et al., "ShuffleNet", 2018).
#pragma once

#include "core/type_list.h"
#include "kernels/channels.h"
#include "src/layers/layer.h"

namespace convoy {

namespace op {
struct Shuffle {
  using Calls = TypeList<ShuffleChannels>;
  static constexpr bool pointwise = false;
  int groups = 1;
  void forward(Emitter& plan) const;
  void backward(Emitter& plan) const;
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

struct ChannelShuffleConfig {  ///< `channel_shuffle: 2`
  using Op = op::Shuffle;
  int groups = 0;
  static std::vector<Kind<LayerConfig>> kinds();
  int add(GraphBuilder& graph, int input) const;
  bool operator==(const ChannelShuffleConfig&) const = default;
};

}  // namespace convoy
