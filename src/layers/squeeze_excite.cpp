#include "src/layers/squeeze_excite.h"

#include "src/config/layer_schema.h"
#include "src/model/graph_builder.h"

namespace convoy {
namespace {

/// An activation by its name, with its parameter's usual value.
Codec<Activation> activation_name() {
  std::vector<Word<Activation>> words;
  for_each_type(Activations{}, [&]<class A>() { words.push_back({A::name, A::kind}); });
  return choice<Activation>(std::move(words));
}

ActivationConfig activation_of(Activation kind) {
  ActivationConfig config{kind};
  with_activation(kind, 0.0f, [&]<class A>(A) {
    if constexpr (requires { A::parameter; }) config.parameter = A::parameter.initial;
  });
  return config;
}

ConvConfig product(int out) {
  ConvConfig conv;
  conv.out = out;
  conv.kernel = {1};
  return conv;
}

}  // namespace

std::vector<Kind<LayerConfig>> SqueezeExciteConfig::kinds() {
  using S = SqueezeExciteConfig;
  return {layer_kind<S>(
      "squeeze_excite", "scale channels by what the means of all channels say", {}, "squeeze",
      {field("squeeze", &S::squeeze, number<int>(between(1, most_channels)), "channels in between").require(),
       field("activation", &S::activation, activation_name(), "behind the first product"),
       field("gate", &S::gate, activation_name(), "behind the second one: the factors")},
      "squeeze_excite: 4")};
}

int SqueezeExciteConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  PoolConfig mean;
  mean.mode = PoolConfig::Mode::global_average;
  int node = graph.part("avgpool", mean, input);
  node = graph.part("fc1", product(squeeze), node);
  node = graph.part("activation", activation_of(activation), node);
  node = graph.part("fc2", product(shape.c), node);
  node = graph.part("scale_activation", activation_of(gate), node);
  return graph.node(op::Scale{}, {input, node}, shape);
}

}  // namespace convoy
