#include "src/layers/flatten.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {

std::vector<Kind<LayerConfig>> FlattenConfig::kinds() {
  return {layer_kind<FlattenConfig>("flatten", "join channels and pixels into one axis")};
}

int FlattenConfig::add(GraphBuilder& graph, int input) const {
  const std::int64_t count = graph.shape(input).count();
  return graph.node(op::Flatten{}, {input}, {1, 1, 1, static_cast<int>(count)});
}

// Channels-last features are contiguous per image: flattening renames them.
void op::Flatten::forward(Emitter& plan) const {
  plan.set_y(plan.x());
}

void op::Flatten::backward(Emitter& plan) const {
  plan.add_dx(plan.dy());
}

OnnxValue op::Flatten::write(OnnxWriter& model) const {
  const OnnxValue& x = model.x();
  if (x.flat || model.shape_of_x().pixels() == 1) return model.flattened(x);
  // Only a linear layer's weights can make up for the order of features, which differs from memory's.
  const bool memory_order = !model.feeds_linear_layers_alone();
  const std::string in = memory_order ? model.channels_last(x.name) : x.name;
  return {model.emit("Flatten", {in}, {{"axis", std::int64_t{1}}}), true, memory_order};
}

}  // namespace convoy
