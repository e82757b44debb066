// The one list of layers. To add one: include its header and name its struct.
#pragma once

#include <string>

#include "core/mark.h"
#include "core/type_list.h"
#include "src/layers/activation.h"
#include "src/layers/batchnorm.h"
#include "src/layers/channel_shuffle.h"
#include "src/layers/concat.h"
#include "src/layers/conv.h"
#include "src/layers/drop_path.h"
#include "src/layers/dropout.h"
#include "src/layers/flatten.h"
#include "src/layers/groupnorm.h"
#include "src/layers/layer_scale.h"
#include "src/layers/layernorm.h"
#include "src/layers/linear.h"
#include "src/layers/pool.h"
#include "src/layers/residual.h"
#include "src/layers/scale.h"
#include "src/layers/squeeze_excite.h"

namespace convoy {

/// In the order in which help and messages list them.
using LayerTypes =
    TypeList<ConvConfig, LinearConfig, PoolConfig, BatchNormConfig, LayerNormConfig, GroupNormConfig,
             ActivationConfig, DropoutConfig, DropPathConfig, FlattenConfig, ResidualConfig, ConcatConfig,
             ScaleConfig, SqueezeExciteConfig, LayerScaleConfig, ChannelShuffleConfig>;

/// An entry of a list of layers.
struct LayerConfig {
  VariantOf<LayerTypes> layer;
  std::string name;  ///< within the named block around it; empty: it is called by its position
  Mark mark;
  /// Whether both say the same, wherever they stand.
  bool operator==(const LayerConfig& other) const { return layer == other.layer && name == other.name; }
};

namespace op {
struct Input {  ///< the first node: a batch of images, which the plan's own calls make
  using Calls = TypeList<>;
  static constexpr bool pointwise = false;
  void forward(Emitter&) const {}
  void backward(Emitter&) const {}
  OnnxValue write(OnnxWriter& model) const;
};
}  // namespace op

namespace detail {
/// The operations that a layer has for itself: `Op`, or the list `Ops`.
template <class Layer>
struct OpsOf {
  using type = TypeList<typename Layer::Op>;
};
template <class Layer>
requires requires {
  typename Layer::Ops;
}
struct OpsOf<Layer> {
  using type = typename Layer::Ops;
};
template <class List>
struct CallsOf;
template <class... Ops>
struct CallsOf<TypeList<Ops...>> {
  using type = ConcatLists<typename Ops::Calls...>;
};
template <class List>
struct OfLayers;
template <class... Layers>
struct OfLayers<TypeList<Layers...>> {
  using Ops = ConcatLists<TypeList<op::Input>, typename OpsOf<Layers>::type...>;
  using Calls = typename CallsOf<Ops>::type;
};
}  // namespace detail

/// An operation of the graph.
using Op = VariantOf<detail::OfLayers<LayerTypes>::Ops>;
/// The calls that belong to one layer each.
using LayerCalls = detail::OfLayers<LayerTypes>::Calls;

}  // namespace convoy
