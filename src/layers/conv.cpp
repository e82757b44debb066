#include "src/layers/conv.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

/// `same` or numbers.
Codec<std::optional<AxisValues>> padding() {
  const Codec<AxisValues> numbers = axis_values(between(0, 1024));
  return {"same | " + numbers.type,
          [=](const Place& place) -> std::optional<AxisValues> {
            if (place.value.text == "same") return std::nullopt;
            if (place.value.kind == Value::Kind::scalar &&
                place.value.text.find_first_not_of("-.0123456789") == 0) {
              place.refuse("expected same | {}, got {}", numbers.type, describe(place.value));
            }
            return numbers.read(place);
          },
          [=](const std::optional<AxisValues>& pad) {
            return pad ? numbers.write(*pad) : Value::scalar("same");
          }};
}

Axes same_pad(const GraphBuilder& graph, const Axes& kernel, const Axes& dilation) {
  Axes pad{};
  for (std::size_t i = 0; i < 3; ++i) {
    const int span = dilation[i] * (kernel[i] - 1);
    if (span % 2 != 0)
      graph.reject("pad: same needs an odd kernel, this one is {}; give pad as a number", kernel[i]);
    pad[i] = span / 2;
  }
  return pad;
}

ConvShape with_batch(ConvShape shape, int n) {
  return shape.n = n, shape;
}

}  // namespace

std::vector<Kind<LayerConfig>> ConvConfig::kinds() {
  using C = ConvConfig;
  return {layer_kind<C>(
      "conv", "convolution", {}, "",
      {field("out", &C::out, outputs(), "output channels; `classes`: as many as the data set has").require(),
       field("kernel", &C::kernel, axis_values(between(1, 1024)), "window, one number or one per axis")
           .require(),
       field("stride", &C::stride, axis_values(between(1, 1024)), "step of the window"),
       field("pad", &C::pad, padding(), "zeros around the image"),
       field("dilation", &C::dilation, axis_values(between(1, 1024)), "distance between the window's taps"),
       field("groups", &C::groups, number<int>(between(1, most_channels)),
             "parts that channels and filters are divided into; a filter sees its part alone"),
       field("bias", &C::bias, boolean(), "add a number per output channel"), init_field<C>()},
      "conv: {out: 8, kernel: 3, pad: same}")};
}

int ConvConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape in = graph.shape(input);
  ConvShape conv;
  conv.in = in;
  conv.k = out;
  conv.groups = groups;
  if (in.c % groups != 0)
    graph.reject("groups: {} does not divide the {} channels of its input", groups, in.c);
  if (out % groups != 0) graph.reject("groups: {} does not divide out: {}", groups, out);
  const Axes window = graph.axes("kernel", kernel, 1);
  conv.t = window[0], conv.r = window[1], conv.s = window[2];
  conv.stride = graph.axes("stride", stride, 1);
  conv.dilation = graph.axes("dilation", dilation, 1);
  conv.pad = pad ? graph.axes("pad", *pad, 0) : same_pad(graph, window, conv.dilation);
  if (conv.out().pixels() == 0)
    graph.reject("a kernel of {}x{} does not fit the input {}", conv.r, conv.s, to_string(in));
  Parameter weight;
  const int channels = conv.group_channels();
  weight.dims = {conv.k, conv.t, conv.r, conv.s, channels};
  weight.file_order = {0, 4, 1, 2, 3};
  weight.file_shape = graph.is_image() ? std::vector<std::int64_t>{conv.k, channels, conv.r, conv.s}
                                       : std::vector<std::int64_t>{conv.k, channels, conv.t, conv.r, conv.s};
  weight.init = init;
  weight.fan_in = conv.taps() * channels;  // what an output reads, and what reads an input
  weight.fan_out = conv.taps() * conv.group_filters();
  weight.is_weight = true;
  weight.groups = groups;
  op::Conv node{conv};
  node.weight = graph.parameter("weight", weight);
  if (bias) node.bias = graph.vector_parameter("bias", conv.k, Init::uniform_fan, weight.fan_in);
  return graph.node(node, {input}, conv.out());
}

void op::Conv::forward(Emitter& plan) const {
  plan.emit(ConvForward{with_batch(shape, plan.n()), plan.x(), plan.compute_weights(weight),
                        plan.parameter(bias), plan.make_y(), plan.math()});
}

void op::Conv::backward(Emitter& plan) const {
  const ConvShape s = with_batch(shape, plan.n());
  if (bias >= 0) plan.emit(BiasGrad{s.n * s.out().pixels(), s.k, plan.dy(), plan.gradient(bias)});
  plan.emit(ConvWgrad{s, plan.x(), plan.dy(), plan.gradient(weight), plan.math()});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(ConvDgrad{s, plan.dy(), plan.compute_weights(weight), dx, plan.math()});
  plan.add_dx(dx);
}

OnnxValue op::Conv::write(OnnxWriter& model) const {
  std::vector<std::string> inputs{model.with_axes(model.x()), model.parameter(weight)};
  if (bias >= 0) inputs.push_back(model.parameter(bias));
  std::vector<OnnxAttribute> attributes{{"kernel_shape", model.spatial({shape.t, shape.r, shape.s})},
                                        {"strides", model.spatial(shape.stride)},
                                        {"pads", model.pads(shape.pad)},
                                        {"dilations", model.spatial(shape.dilation)}};
  if (shape.groups != 1) attributes.push_back({"group", std::int64_t{shape.groups}});
  return {model.emit("Conv", inputs, attributes)};
}

}  // namespace convoy
