#include "src/layers/drop_path.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {

std::vector<Kind<LayerConfig>> DropPathConfig::kinds() {
  using D = DropPathConfig;
  return {layer_kind<D>("drop_path", "in training, set all values of a random share of the images to zero",
                        {}, "rate",
                        {field("rate", &D::rate, number<float>(half_open(0, 1)), "share of the images")})};
}

int DropPathConfig::add(GraphBuilder& graph, int input) const {
  return graph.node(op::DropImages{rate, graph.random_stream()}, {input}, graph.shape(input));
}

void op::DropImages::forward(Emitter& plan) const {
  if (!plan.training()) {
    plan.set_y(plan.x());
    return;
  }
  // Images are counted over the global batch, so that no rank count changes which are dropped.
  plan.emit(
      DropPath{rate, layer, plan.batch().shard.first, plan.node().out.count(), plan.x(), plan.make_y()});
}

void op::DropImages::backward(Emitter& plan) const {
  const Tensor dx = plan.fresh_dx();
  plan.emit(DropPath{rate, layer, plan.batch().shard.first, plan.node().out.count(), plan.dy(), dx});
  plan.add_dx(dx);
}

OnnxValue op::DropImages::write(OnnxWriter& model) const {
  return model.x();
}

}  // namespace convoy
