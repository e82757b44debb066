#include "src/layers/channel_shuffle.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

ShuffleChannels call_of(const Emitter& plan, int groups, const Tensor& from, const Tensor& to) {
  const FeatureShape& shape = plan.node().out;
  return {plan.n() * shape.pixels(), shape.c, groups, from, to};
}

}  // namespace

std::vector<Kind<LayerConfig>> ChannelShuffleConfig::kinds() {
  using C = ChannelShuffleConfig;
  return {layer_kind<C>("channel_shuffle", "take one channel of each group in turn", {}, "groups",
                        {field("groups", &C::groups, number<int>(between(1, most_channels)),
                               "into how many groups the channels are divided")
                             .require()},
                        "channel_shuffle: 2")};
}

int ChannelShuffleConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  if (shape.c % groups != 0)
    graph.reject("{} channels cannot be divided into {} equal groups", shape.c, groups);
  return graph.node(op::Shuffle{groups}, {input}, shape);
}

void op::Shuffle::forward(Emitter& plan) const {
  plan.emit(call_of(plan, groups, plan.x(), plan.make_y()));
}

void op::Shuffle::backward(Emitter& plan) const {
  const Tensor dx = plan.fresh_dx();
  plan.emit(call_of(plan, plan.node().out.c / groups, plan.dy(), dx));
  plan.add_dx(dx);
}

OnnxValue op::Shuffle::write(OnnxWriter& model) const {
  const std::int64_t c = model.node().out.c;
  std::vector<std::int64_t> dims;  // of pixels
  if (!model.x().flat) dims = model.spatial({model.node().out.d, model.node().out.h, model.node().out.w});
  std::vector<std::int64_t> apart{0, groups, c / groups}, order{0, 2, 1}, together{0, c};
  for (const std::int64_t length : dims) {
    apart.push_back(length), together.push_back(length);
    order.push_back(static_cast<std::int64_t>(order.size()));
  }
  const std::string grouped = model.emit("Reshape", {model.x().name, model.numbers(apart)}, {}, ".groups");
  const std::string turned = model.emit("Transpose", {grouped}, {{"perm", order}}, ".turned");
  return model.like_x(model.emit("Reshape", {turned, model.numbers(together)}));
}

}  // namespace convoy
