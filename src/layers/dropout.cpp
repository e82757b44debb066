#include "src/layers/dropout.h"

#include "kernels/elementwise.h"
#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

/// Of the global batch, so that no rank count changes what is dropped.
std::int64_t first_element(const Emitter& plan) {
  return plan.batch().shard.first * plan.node().out.count();
}

}  // namespace

std::vector<Kind<LayerConfig>> DropoutConfig::kinds() {
  using D = DropoutConfig;
  return {layer_kind<D>("dropout", "in training, set a random share of the values to zero", {}, "rate",
                        {field("rate", &D::rate, number<float>(half_open(0, 1)), "share that is dropped")},
                        "dropout: 0.5")};
}

int DropoutConfig::add(GraphBuilder& graph, int input) const {
  return graph.node(op::Drop{rate, graph.random_stream()}, {input}, graph.shape(input));
}

void op::Drop::forward(Emitter& plan) const {
  if (!plan.training()) {
    plan.set_y(plan.x());
    return;
  }
  plan.emit(Dropout{rate, layer, first_element(plan), plan.x(), plan.make_y()});
}

void op::Drop::backward(Emitter& plan) const {
  const Tensor dx = plan.fresh_dx();
  plan.emit(Dropout{rate, layer, first_element(plan), plan.dy(), dx});
  plan.add_dx(dx);
}

OnnxValue op::Drop::write(OnnxWriter& model) const {
  return model.x();
}

}  // namespace convoy
