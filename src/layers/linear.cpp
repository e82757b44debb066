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
       field("bias", &L::bias, boolean(), "add a number per output"),
       field("per_pixel", &L::per_pixel, boolean(), "of the channels of each pixel, without flattening"),
       init_field<L>()},
      "linear: 10")};
}

int LinearConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape in = graph.shape(input);
  if (in.pixels() != 1 && !per_pixel) {
    graph.reject(
        "linear needs a flat input, this one is {}: put flatten or globalavgpool before it, or set "
        "per_pixel: true "
        "for a product of each pixel's channels",
        to_string(in));
  }
  if (init == Init::dirac) graph.reject("init: dirac is for convolutions");
  // Behind a flatten the columns are (D,H,W,C) here and (C,D,H,W) in files.
  const FeatureShape before = per_pixel ? FeatureShape{1, 1, 1, in.c} : graph.unflattened(input);
  Parameter weight;
  weight.dims = {out, before.pixels(), before.c};
  weight.file_order = {0, 2, 1};
  weight.file_shape = {out, in.c};
  weight.init = init;
  weight.fan_in = in.c;
  weight.fan_out = out;
  weight.is_weight = true;
  op::Linear node{in.c, out, static_cast<int>(in.pixels())};
  node.weight = graph.parameter("weight", std::move(weight));
  if (bias) node.bias = graph.vector_parameter("bias", out, Init::uniform_fan, in.c);
  return graph.node(node, {input}, {in.d, in.h, in.w, out});
}

void op::Linear::forward(Emitter& plan) const {
  plan.emit(LinearForward{{plan.n() * pixels, in, out},
                          plan.x(),
                          plan.compute_weights(weight),
                          plan.parameter(bias),
                          plan.make_y(),
                          plan.math()});
}

void op::Linear::backward(Emitter& plan) const {
  const LinearShape shape{plan.n() * pixels, in, out};
  if (bias >= 0) plan.emit(BiasGrad{shape.n, out, plan.dy(), plan.gradient(bias)});
  plan.emit(LinearWgrad{shape, plan.x(), plan.dy(), plan.gradient(weight), plan.math()});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(LinearDgrad{shape, plan.dy(), plan.compute_weights(weight), dx, plan.math()});
  plan.add_dx(dx);
}

OnnxValue op::Linear::write(OnnxWriter& model) const {
  if (pixels != 1) {  // rows of channels, times the matrix, and back
    std::string y = model.emit("Transpose", {model.parameter(weight)},
                               {{"perm", std::vector<std::int64_t>{1, 0}}}, ".transposed");
    y = model.emit("MatMul", {model.channels_last(model.with_axes(model.x())), y}, {}, ".product");
    if (bias >= 0) y = model.emit("Add", {y, model.parameter(bias)}, {}, ".sum");
    return {model.channels_first(y)};
  }
  const OnnxValue x = model.flattened(model.x());
  std::vector<std::string> inputs{x.name, model.parameter(weight, x.memory_order)};
  if (bias >= 0) inputs.push_back(model.parameter(bias));
  return {model.emit("Gemm", inputs, {{"transB", std::int64_t{1}}}), true};
}

}  // namespace convoy
