#include "src/layers/groupnorm.h"

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

GroupNormShape shape_of(const op::GroupNorm& o, const Emitter& plan) {
  const FeatureShape& out = plan.node().out;
  return {plan.n(), out.pixels(), out.c, o.groups, o.epsilon};
}

}  // namespace

std::vector<Kind<LayerConfig>> GroupNormConfig::kinds() {
  using G = GroupNormConfig;
  return {layer_kind<G>(
      "groupnorm", "normalisation of each image over groups of channels", {}, "groups",
      {field("groups", &G::groups, number<int>(between(1, most_channels)), "of equally many channels")
           .require(),
       field("epsilon", &G::epsilon, number<float>(above(0)), "added to the variance")},
      "groupnorm: 2")};
}

int GroupNormConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  if (shape.c % groups != 0)
    graph.reject("{} channels cannot be divided into {} equal groups", shape.c, groups);
  if (shape.count() == groups)
    graph.reject("each of {} groups would have one value, which leaves nothing to normalise", groups);
  op::GroupNorm node{groups, epsilon};
  node.gamma = graph.vector_parameter("weight", shape.c, Init::ones, shape.c);
  node.beta = graph.vector_parameter("bias", shape.c, Init::zeros, shape.c);
  return graph.node(node, {input}, shape);
}

void op::GroupNorm::forward(Emitter& plan) const {
  const GroupNormShape shape = shape_of(*this, plan);
  const Tensor mean = plan.fresh(shape.images * groups, plan.real());
  const Tensor inv_std = plan.fresh(shape.images * groups, plan.real());
  plan.saved() = {mean, inv_std};
  plan.emit(GroupNormStatistics{shape, plan.x(), mean, inv_std});
  plan.emit(GroupNormForward{shape, plan.x(), mean, inv_std, plan.parameter(gamma), plan.parameter(beta),
                             plan.make_y()});
}

void op::GroupNorm::backward(Emitter& plan) const {
  const GroupNormShape shape = shape_of(*this, plan);
  const Tensor mean = plan.saved()[0], inv_std = plan.saved()[1];
  const Tensor sums = plan.fresh(2 * shape.images * groups, plan.real());
  plan.emit(GroupNormReduce{shape, plan.x(), plan.dy(), mean, inv_std, plan.parameter(gamma), sums,
                            plan.gradient(gamma), plan.gradient(beta)});
  if (!plan.wants_dx()) return;
  const Tensor dx = plan.fresh_dx();
  plan.emit(GroupNormBackward{shape, plan.x(), plan.dy(), mean, inv_std, plan.parameter(gamma), sums, dx});
  plan.add_dx(dx);
}

// By InstanceNormalization over (N,groups,values of a group): opset 18's GroupNormalization has factors per
// group, not per channel.
OnnxValue op::GroupNorm::write(OnnxWriter& model) const {
  const FeatureShape& shape = model.node().out;
  std::vector<std::int64_t> dims{0, shape.c}, per_channel{shape.c};
  if (!model.x().flat) {
    for (const std::int64_t length : model.spatial({shape.d, shape.h, shape.w})) {
      dims.push_back(length);
      per_channel.push_back(1);
    }
  }
  const auto factors = [&](int parameter, const char* suffix) {
    return model.emit("Reshape", {model.parameter(parameter), model.numbers(per_channel)}, {}, suffix);
  };
  const std::string grouped =
      model.emit("Reshape", {model.x().name, model.numbers({0, groups, -1})}, {}, ".groups");
  const std::string normalized = model.emit(
      "InstanceNormalization", {grouped, model.equal_numbers(groups, 1), model.equal_numbers(groups, 0)},
      {{"epsilon", epsilon}}, ".normalized");
  const std::string together = model.emit("Reshape", {normalized, model.numbers(dims)}, {}, ".together");
  const std::string scaled = model.emit("Mul", {together, factors(gamma, ".weight.factors")}, {}, ".scaled");
  return model.like_x(model.emit("Add", {scaled, factors(beta, ".bias.terms")}));
}

}  // namespace convoy
