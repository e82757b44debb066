#include "src/layers/layernorm.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

LayerNormShape shape_of(const op::LayerNorm& o, const Emitter& plan) {
  const FeatureShape& out = plan.node().out;
  return {plan.n() * out.pixels(), out.c, o.epsilon};
}

}  // namespace

std::vector<Kind<LayerConfig>> LayerNormConfig::kinds() {
  using L = LayerNormConfig;
  return {layer_kind<L>("layernorm", "normalisation over the channels of each pixel", {}, "",
                        {field("epsilon", &L::epsilon, number<float>(above(0)), "added to the variance")})};
}

int LayerNormConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  if (shape.c == 1) graph.reject("one channel leaves nothing to normalise");
  op::LayerNorm node{epsilon};
  node.gamma = graph.vector_parameter("weight", shape.c, Init::ones, shape.c);
  node.beta = graph.vector_parameter("bias", shape.c, Init::zeros, shape.c);
  return graph.node(node, {input}, shape);
}

void op::LayerNorm::forward(Emitter& plan) const {
  const LayerNormShape shape = shape_of(*this, plan);
  LayerNormForward call{shape, plan.x(), plan.parameter(gamma), plan.parameter(beta), plan.make_y(), {}, {}};
  if (plan.training()) {
    call.mean = plan.fresh(shape.rows, plan.real());
    call.inv_std = plan.fresh(shape.rows, plan.real());
    plan.saved() = {call.mean, call.inv_std};
  }
  plan.emit(call);
}

void op::LayerNorm::backward(Emitter& plan) const {
  const LayerNormShape shape = shape_of(*this, plan);
  const Tensor mean = plan.saved()[0], inv_std = plan.saved()[1];
  plan.emit(
      LayerNormWgrad{shape, plan.x(), plan.dy(), mean, inv_std, plan.gradient(gamma), plan.gradient(beta)});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(LayerNormBackward{shape, plan.x(), plan.dy(), plan.parameter(gamma), mean, inv_std, dx});
  plan.add_dx(dx);
}

OnnxValue op::LayerNorm::write(OnnxWriter& model) const {
  const bool flat = model.x().flat;
  const std::string x = flat ? model.x().name : model.channels_last(model.x().name);
  const std::string y =
      model.emit("LayerNormalization", {x, model.parameter(gamma), model.parameter(beta)},
                 {{"axis", std::int64_t{-1}}, {"epsilon", epsilon}}, flat ? "" : ".normalized");
  return model.like_x(flat ? y : model.channels_first(y));
}

}  // namespace convoy
