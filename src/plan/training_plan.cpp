// A whole training step from its passes: what they leave is added, over ranks too where the order of that sum
// matters, and the optimizer takes it.
#include <algorithm>

#include "src/plan/passes.h"

namespace convoy {
namespace {

struct Names {
  std::int64_t by = 0, most = -1;
  void rename(Tensor& tensor) {
    if (tensor.arena != Arena::unplaced) return;
    tensor.offset += by;
    most = std::max(most, tensor.offset);
  }
  void reads(Tensor& t) { rename(t); }
  void writes(Tensor& t) { rename(t); }
  void updates(Tensor& t) { rename(t); }
};

/// Its unplaced tensors get names from `free` on; returns the first free one after that.
std::int64_t append(Plan& plan, Plan part, std::int64_t free) {
  Names names{free, free - 1};
  for (Step& step : part.steps) {
    visit_tensors(step.call, names);
    plan.steps.push_back(std::move(step));
  }
  return names.most + 1;
}

void fold(Plan& plan, const std::vector<Fold>& folds, const std::function<Tensor(int)>& block) {
  for (const Fold& f : folds)
    plan.steps.push_back({Add{block(f.into), block(f.from), block(f.into)}, "gradients"});
}

/// Each rank gets its slice of every rank's sums, adds them as the upper part of the tree that the passes'
/// sums are the lower part of, and hands the result to the others.
void sum_over_ranks_as_tree(Plan& plan, const Layout& layout, int rank, int ranks) {
  const std::int64_t count = layout.sums.count / ranks;
  const Tensor parts = in_block(layout, layout.sums, layout.gradient_blocks - 1);
  const auto part = [&](int index) { return slice(parts, index * count, count); };
  const FoldPlan tree = fold_plan(ranks, true);
  plan.steps.push_back({ExchangeSlices{layout.sums, parts}, "gradients"});
  plan.steps.push_back({Join{}, "gradients"});
  std::vector<Tensor> blocks;  // that still have to be added
  for (int r = 0; r < ranks; ++r) {
    blocks.push_back(part(r));
    fold(plan, tree.folds[static_cast<std::size_t>(r)],
         [&](int block) { return blocks[static_cast<std::size_t>(block)]; });
    blocks.resize(blocks.size() - tree.folds[static_cast<std::size_t>(r)].size());
  }
  std::get<Add>(plan.steps.back().call).y = slice(layout.sums, rank * count, count);
  plan.steps.push_back({GatherSlices{layout.sums}, "gradients"});
  plan.steps.push_back({Join{}, "gradients"});
}

}  // namespace

Plan update_plan(const Layout& layout, const Config& config) {
  Plan plan;
  const auto emit = [&](Call call, const char* node) { plan.steps.push_back({std::move(call), node}); };
  emit(ReportStep{layout.votes, layout.reports}, "votes");
  if (layout.loss_scale) {
    const bool dynamic = config.train.precision == Precision::fp16;
    const bool skips = dynamic || config.train.on_nan == TrainConfig::OnNan::skip;
    emit(CheckGradients{layout.all_gradients, layout.loss_scale, {dynamic, skips, config.train.clip_norm}},
         "optimizer");
  }
  if (!layout.statistics.empty()) {
    emit(BatchNormRunning{layout.all_batch_statistics, layout.all_statistics, layout.statistic_momentum,
                          layout.loss_scale},
         "running averages");
  }
  const OptimizerConfig& o = config.optimizer;
  if (o.name == OptimizerConfig::Name::sgd) {
    const Tensor velocity = layout.moments.empty() ? Tensor{} : layout.moments[0];
    emit(SgdStep{o.momentum, o.nesterov, layout.all_parameters, layout.all_gradients, velocity, layout.decay,
                 layout.working, layout.loss_scale},
         "optimizer");
  } else {
    emit(AdamStep{o.beta1, o.beta2, o.epsilon, o.name == OptimizerConfig::Name::adamw, layout.all_parameters,
                  layout.all_gradients, layout.moments[0], layout.moments[1], layout.decay, layout.working,
                  layout.loss_scale},
         "optimizer");
  }
  if (layout.average) {
    emit(AverageWeights{config.train.ema, layout.all_parameters, layout.average, layout.average_working,
                        layout.loss_scale},
         "optimizer");
  }
  return plan;
}

Plan training_plan(const Graph& graph, const Layout& layout, const Config& config,
                   const std::vector<MicroBatch>& passes, bool resident,
                   const std::function<Plan(Plan)>& improve) {
  const bool as_tree = config.train.reproducible_across_ranks > 0;
  const FoldPlan folds = fold_plan(static_cast<int>(passes.size()), as_tree);
  Plan plan;
  plan.name = "training step";
  std::int64_t free = 0;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    free = append(plan, improve(training_pass(graph, layout, config, passes[i], resident)), free);
    fold(plan, folds.folds[i], [&](int block) { return in_block(layout, layout.sums, block); });
  }
  if (as_tree && passes.front().ranks > 1)
    sum_over_ranks_as_tree(plan, layout, passes.front().rank, passes.front().ranks);
  append(plan, update_plan(layout, config), free);
  return plan;
}

}  // namespace convoy
