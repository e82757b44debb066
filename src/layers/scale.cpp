#include "src/layers/scale.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

ScaleShape shape_of(const Emitter& plan) {
  const FeatureShape &x = plan.shape_of_x(0), &factors = plan.shape_of_x(1);
  const std::int64_t pixels = x.pixels() / factors.pixels();  // that share factors
  return {plan.n() * factors.pixels(), pixels, x.c};
}

}  // namespace

std::vector<Kind<LayerConfig>> ScaleConfig::kinds() {
  using S = ScaleConfig;
  return {layer_kind<S>("scale", "the input times a branch", {}, "branch",
                        {field("branch", &S::branch, layer_list(false),
                               "layers that give a factor per channel of each image, or one per value")
                             .require()},
                        "scale: [conv: {out: 8, kernel: 1}, globalavgpool, sigmoid]")};
}

int ScaleConfig::add(GraphBuilder& graph, int input) const {
  const int factors = graph.chain(branch, input, graph.name() + ".branch.");
  const FeatureShape shape = graph.shape(input), by = graph.shape(factors);
  if (by.c != shape.c || (by != shape && by.pixels() != 1)) {
    graph.reject("scale: the branch gives {}; expected {}, or one pixel of {} channels", to_string(by),
                 to_string(shape), shape.c);
  }
  return graph.node(op::Scale{}, {input, factors}, shape);
}

bool ScaleConfig::operator==(const ScaleConfig& other) const {
  return branch == other.branch;
}

void op::Scale::forward(Emitter& plan) const {
  plan.emit(ScalePixels{shape_of(plan), plan.x(0), plan.x(1), plan.make_y()});
}

void op::Scale::backward(Emitter& plan) const {
  const ScaleShape shape = shape_of(plan);
  if (plan.wants_dx(0)) {
    const Tensor dx = plan.fresh_dx(0);
    plan.emit(ScalePixels{shape, plan.dy(), plan.x(1), dx});
    plan.add_dx(dx, 0);
  }
  if (plan.wants_dx(1)) {
    const Tensor dx = plan.fresh_dx(1);
    if (shape.pixels == 1)  // sums of one product each
      plan.emit(ScalePixels{shape, plan.dy(), plan.x(0), dx});
    else
      plan.emit(ScaleGradient{shape, plan.dy(), plan.x(0), dx});
    plan.add_dx(dx, 1);
  }
}

OnnxValue op::Scale::write(OnnxWriter& model) const {
  const OnnxValue x = model.x(0), factors = model.x(1);
  if (x.flat) {
    const OnnxValue flat = model.flattened(factors);
    return {model.emit("Mul", {x.name, flat.name}), true, x.memory_order || flat.memory_order};
  }
  return {model.emit("Mul", {x.name, model.with_axes(factors)})};
}

}  // namespace convoy
