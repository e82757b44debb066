#include "src/layers/residual.h"

#include "kernels/elementwise.h"
#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {

std::vector<Kind<LayerConfig>> ResidualConfig::kinds() {
  using R = ResidualConfig;
  return {layer_kind<R>("residual", "sum of two branches", {}, "body",
                        {field("body", &R::body, layer_list(false), "first branch").require(),
                         field("shortcut", &R::shortcut, layer_list(true), "second branch; none: identity")},
                        "residual: [conv: {out: 8, kernel: 3, pad: same}, relu]")};
}

int ResidualConfig::add(GraphBuilder& graph, int input) const {
  const std::string name = graph.name();
  const int first = graph.chain(body, input, name + ".body.");
  const int second = graph.chain(shortcut, input, name + ".shortcut.");
  if (graph.shape(first) != graph.shape(second)) {
    graph.reject("residual: the body gives {}, the shortcut {}", to_string(graph.shape(first)),
                 to_string(graph.shape(second)));
  }
  return graph.node(op::Sum{}, {first, second}, graph.shape(first));
}

bool ResidualConfig::operator==(const ResidualConfig& other) const {
  return body == other.body && shortcut == other.shortcut;
}

void op::Sum::forward(Emitter& plan) const {
  plan.emit(Add{plan.x(0), plan.x(1), plan.make_y()});
}

void op::Sum::backward(Emitter& plan) const {
  const Tensor dy = plan.dy();
  plan.add_dx(dy, 0);
  plan.add_dx(dy, 1);
}

OnnxValue op::Sum::write(OnnxWriter& model) const {
  OnnxValue a = model.x(0), b = model.x(1);
  const bool flat = a.flat || b.flat;
  if (flat) a = model.flattened(a), b = model.flattened(b);
  return {model.emit("Add", {a.name, b.name}), flat, a.memory_order || b.memory_order};
}

}  // namespace convoy
