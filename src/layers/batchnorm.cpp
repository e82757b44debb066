#include "src/layers/batchnorm.h"

#include <algorithm>

#include "src/config/layer_schema.h"
#include "src/export/onnx_writer.h"
#include "src/model/graph_builder.h"
#include "src/plan/emitter.h"

namespace convoy {
namespace {

BatchNormShape shape_of(const op::BatchNorm& o, const Emitter& plan) {
  const MicroBatch& batch = plan.batch();
  const bool local = groups_are_local(batch, o.group);
  BatchNormShape shape;
  shape.n = plan.n();
  shape.first = local ? 0 : batch.shard.first - batch.span.first;
  shape.global_n = local ? plan.n() : batch.span.count;
  const int most = std::max(shape.global_n, 1);
  shape.group = o.group > 0 ? std::min(o.group, most) : most;
  shape.pixels = plan.node().out.pixels();
  shape.c = plan.node().out.c;
  shape.epsilon = o.epsilon;
  return shape;
}

/// What a group here counts for in the mean over all groups of the global batch. Groups with images on
/// several ranks are complete on each of them, but are to count once.
double share_of_group(const MicroBatch& batch, int group) {
  const bool counts = batch.rank == 0 || groups_are_local(batch, group);
  return counts ? 1.0 / std::max(batchnorm_groups(batch, group), 1) : 0.0;
}

/// Sums over ranks that the very next call needs, where groups have images on several.
void sum_groups_over_ranks(Emitter& plan, int group, const Tensor& sums) {
  if (groups_are_local(plan.batch(), group)) return;
  plan.emit(AllReduce{sums});
  plan.emit(Join{});
}

}  // namespace

std::vector<Kind<LayerConfig>> BatchNormConfig::kinds() {
  using B = BatchNormConfig;
  return {layer_kind<B>(
      "batchnorm", "batch normalisation", {}, "",
      {field("group", &B::group, number<int>(at_least(0)), "images per group; 0: the global batch"),
       field("momentum", &B::momentum, number<float>(Interval{.low = 0, .high = 1, .low_open = true}),
             "weight of the newest batch in the running statistics"),
       field("epsilon", &B::epsilon, number<float>(above(0)), "added to the variance")})};
}

int BatchNormConfig::add(GraphBuilder& graph, int input) const {
  const FeatureShape shape = graph.shape(input);
  op::BatchNorm node{group, epsilon};
  node.gamma = graph.vector_parameter("weight", shape.c, Init::ones, shape.c);
  node.beta = graph.vector_parameter("bias", shape.c, Init::zeros, shape.c);
  node.running_mean = graph.statistic("running_mean", shape.c, 0.0, momentum);
  node.running_var = graph.statistic("running_var", shape.c, 1.0, momentum);
  return graph.node(node, {input}, shape);
}

void op::BatchNorm::forward(Emitter& plan) const {
  const BatchNormShape shape = shape_of(*this, plan);
  if (!plan.training() || plan.is_frozen()) {
    return plan.emit(BatchNormInference{shape, plan.x(), plan.statistic(running_mean),
                                        plan.statistic(running_var), plan.parameter(gamma),
                                        plan.parameter(beta), plan.make_y()});
  }
  const std::int64_t moments = std::int64_t{shape.groups()} * shape.c;
  const Tensor sums = plan.fresh(2 * moments, DType::f64);
  const Tensor mean = plan.fresh(moments, plan.real()), inv_std = plan.fresh(moments, plan.real());
  plan.saved() = {mean, inv_std};
  plan.emit(BatchNormStatistics{shape, plan.x(), sums});
  sum_groups_over_ranks(plan, group, sums);
  plan.emit(BatchNormMoments{shape, share_of_group(plan.batch(), group), sums, mean, inv_std,
                             plan.batch_statistic(running_mean), plan.batch_statistic(running_var)});
  plan.emit(BatchNormForward{shape, plan.x(), mean, inv_std, plan.parameter(gamma), plan.parameter(beta),
                             plan.make_y()});
}

void op::BatchNorm::backward(Emitter& plan) const {
  const BatchNormShape shape = shape_of(*this, plan);
  if (plan.is_frozen()) {  // y is x times a constant per channel, plus another, and so is dx of dy, plus 0
    const Tensor dx = plan.fresh_dx(), zero = plan.zeros(shape.c);
    plan.emit(BatchNormInference{shape, plan.dy(), zero, plan.statistic(running_var), plan.parameter(gamma),
                                 zero, dx});
    return plan.add_dx(dx);
  }
  const Tensor mean = plan.saved()[0], inv_std = plan.saved()[1];
  const Tensor sums = plan.fresh(2 * std::int64_t{shape.groups()} * shape.c, DType::f64);
  plan.emit(BatchNormReduce{shape, plan.x(), plan.dy(), mean, inv_std, sums, plan.gradient(gamma),
                            plan.gradient(beta)});
  if (!plan.wants_dx()) return;
  sum_groups_over_ranks(plan, group, sums);
  const Tensor dx = plan.fresh_dx();
  plan.emit(BatchNormBackward{shape, plan.x(), plan.dy(), mean, inv_std, plan.parameter(gamma), sums, dx});
  plan.add_dx(dx);
}

OnnxValue op::BatchNorm::write(OnnxWriter& model) const {
  return model.like_x(model.emit("BatchNormalization",
                                 {model.x().name, model.parameter(gamma), model.parameter(beta),
                                  model.statistic(running_mean), model.statistic(running_var)},
                                 {{"epsilon", epsilon}}));
}

}  // namespace convoy
