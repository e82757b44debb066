#include "src/layers/layer_scale.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

/// All pixels of all images share the factors.
ScaleShape shape_of(const Emitter& plan) {
  const FeatureShape& out = plan.node().out;
  return {1, plan.n() * out.pixels(), out.c};
}

}  // namespace

std::vector<Kind<LayerConfig>> LayerScaleConfig::kinds() {
  using L = LayerScaleConfig;
  return {layer_kind<L>("layer_scale", "a learned factor per channel", {}, "initial",
                        {field("initial", &L::initial, number<float>(), "how each factor starts")})};
}

int LayerScaleConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  Parameter weight;
  weight.dims = {shape.c};
  weight.file_order = {0};
  weight.file_shape = graph.is_image() ? std::vector<std::int64_t>{shape.c, 1, 1}
                                       : std::vector<std::int64_t>{shape.c, 1, 1, 1};
  weight.init = Init::constant;
  weight.constant = initial;
  // The parameter has the layer's own name, as where PyTorch's modules hold it as a plain parameter.
  return graph.node(op::LayerScale{graph.parameter("", weight)}, {input}, shape);
}

void op::LayerScale::forward(Emitter& plan) const {
  plan.emit(ScalePixels{shape_of(plan), plan.x(), plan.parameter(weight), plan.make_y()});
}

void op::LayerScale::backward(Emitter& plan) const {
  plan.emit(ScaleGradient{shape_of(plan), plan.dy(), plan.x(), plan.gradient(weight)});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(ScalePixels{shape_of(plan), plan.dy(), plan.parameter(weight), dx});
  plan.add_dx(dx);
}

OnnxValue op::LayerScale::write(OnnxWriter& model) const {
  const std::string factors = model.parameter(weight);  // (C,1,1)
  if (!model.x().flat) return {model.emit("Mul", {model.x().name, factors}, {}, ".scaled")};
  const std::string flat = model.emit("Reshape", {factors, model.numbers({-1})}, {}, ".factors");
  return model.like_x(model.emit("Mul", {model.x().name, flat}, {}, ".scaled"));
}

}  // namespace convoy
