#include "src/layers/linear.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {

std::vector<Kind<LayerConfig>> LinearConfig::kinds() {
  using L = LinearConfig;
  return {layer_kind<L>(
      "linear", "fully connected", {}, "out",
      {field("out", &L::out, outputs(), "output features; `classes`: as many as the data set has").require(),
       field("bias", &L::bias, boolean(), "add a number per output"), init_field<L>()},
      "linear: 10")};
}

int LinearConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape in = graph.shape(input);
  if (in.pixels() != 1) {
    graph.reject("linear needs a flat input, this one is {}: put flatten or globalavgpool before it",
                 to_string(in));
  }
  if (init == Init::dirac) graph.reject("init: dirac is for convolutions");
  // Behind a flatten the columns are (D,H,W,C) here and (C,D,H,W) in files.
  const FeatureShape before = graph.unflattened(input);
  Parameter weight;
  weight.dims = {out, before.pixels(), before.c};
  weight.file_order = {0, 2, 1};
  weight.file_shape = {out, in.c};
  weight.init = init;
  weight.fan_in = in.c;
  weight.fan_out = out;
  weight.is_weight = true;
  op::Linear node{in.c, out};
  node.weight = graph.parameter("weight", std::move(weight));
  if (bias) node.bias = graph.vector_parameter("bias", out, Init::uniform_fan, in.c);
  return graph.node(node, {input}, {1, 1, 1, out});
}

void op::Linear::forward(Emitter& plan) const {
  plan.emit(LinearForward{{plan.n(), in, out},
                          plan.x(),
                          plan.compute_weights(weight),
                          plan.parameter(bias),
                          plan.make_y(),
                          plan.math()});
}

void op::Linear::backward(Emitter& plan) const {
  const LinearShape shape{plan.n(), in, out};
  if (bias >= 0) plan.emit(BiasGrad{plan.n(), out, plan.dy(), plan.gradient(bias)});
  plan.emit(LinearWgrad{shape, plan.x(), plan.dy(), plan.gradient(weight), plan.math()});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(LinearDgrad{shape, plan.dy(), plan.compute_weights(weight), dx, plan.math()});
  plan.add_dx(dx);
}

OnnxValue op::Linear::write(OnnxWriter& model) const {
  const OnnxValue x = model.flattened(model.x());
  std::vector<std::string> inputs{x.name, model.parameter(weight, x.memory_order)};
  if (bias >= 0) inputs.push_back(model.parameter(bias));
  return {model.emit("Gemm", inputs, {{"transB", std::int64_t{1}}}), true};
}

}  // namespace convoy
