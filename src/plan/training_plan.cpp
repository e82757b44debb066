// A whole training step from its passes: what they leave is added, over ranks too where the order of that sum
// matters, and the optimizer takes it.
#include <algorithm>

#include "core/ceil_div.h"
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

void fold(Plan& plan, const std::vector<BlockPair>& pairs, const std::function<Tensor(int)>& block) {
  for (const BlockPair& pair : pairs)
    plan.steps.push_back(
        {Fold{block(pair.into), block(pair.from), block(pair.into)}, "gradients", Phase::sum});
}

/// Each rank gets its slice of every rank's sums, adds them as the upper part of the tree that the passes'
/// sums are the lower part of, and hands the result to the others.
void sum_over_ranks_as_tree(Plan& plan, const Layout& layout, int rank, int ranks) {
  const std::int64_t count = layout.reduced_block.count / ranks;
  const Tensor parts = in_block(layout, layout.reduced_block, layout.gradient_blocks - 1);
  const auto part = [&](int index) { return slice(parts, index * count, count); };
  const FoldPlan tree = fold_plan(ranks, true);
  const auto emit = [&](Call call) { plan.steps.push_back({std::move(call), "gradients", Phase::sum}); };
  emit(ExchangeSlices{layout.reduced_block, parts});
  emit(Join{});
  std::vector<Tensor> blocks;  // that still have to be added
  for (int r = 0; r < ranks; ++r) {
    blocks.push_back(part(r));
    fold(plan, tree.folds[static_cast<std::size_t>(r)],
         [&](int block) { return blocks[static_cast<std::size_t>(block)]; });
    blocks.resize(blocks.size() - tree.folds[static_cast<std::size_t>(r)].size());
  }
  std::get<Fold>(plan.steps.back().call).y = slice(layout.reduced_block, rank * count, count);
  emit(GatherSlices{layout.reduced_block});
  emit(Join{});
}

/// Moves all running averages but `unmoved`, which are in the order of the layout.
void move_averages(Plan& plan, const Layout& layout, const std::vector<Tensor>& unmoved) {
  std::int64_t begin = 0;
  const auto move_until = [&](std::int64_t end) {
    if (begin >= end) return;
    const auto part = [&](const Tensor& tensor) { return slice(tensor, begin, end - begin); };
    const Tensor momentum =
        slice(layout.statistic_momentum, begin / parameter_alignment, (end - begin) / parameter_alignment);
    plan.steps.push_back({BatchNormRunning{part(layout.all_batch_statistics), part(layout.all_statistics),
                                           momentum, layout.loss_scale},
                          "running averages", Phase::update});
  };
  for (const Tensor& tensor : unmoved) {
    const std::int64_t at = (tensor.offset - layout.all_statistics.offset) / size_of(layout.real);
    move_until(at);
    begin = at + ceil_div(tensor.count, parameter_alignment) * parameter_alignment;
  }
  move_until(layout.all_statistics.count);
}

/// Of layers that normalise a single value, the variance; of frozen layers, both.
std::vector<Tensor> unmoved_statistics(const Graph& graph, const Layout& layout, const MicroBatch& batch,
                                       int stage) {
  std::vector<Tensor> unmoved;
  for (const Node& node : graph.nodes) {
    const auto* norm = std::get_if<op::BatchNorm>(&node.op);
    if (norm == nullptr) continue;
    const auto add = [&](int statistic) {
      unmoved.push_back(layout.statistics[static_cast<std::size_t>(statistic)]);
    };
    const bool frozen =
        !node.parameters.empty() && std::none_of(node.parameters.begin(), node.parameters.end(), [&](int i) {
          return layout.stage_of[static_cast<std::size_t>(i)] <= stage;
        });
    if (frozen) add(norm->running_mean);
    if (frozen || normalises_one_value(node, batch)) add(norm->running_var);
  }
  return unmoved;
}

}  // namespace

bool normalises_one_value(const Node& node, const MicroBatch& batch) {
  const auto* norm = std::get_if<op::BatchNorm>(&node.op);
  return norm != nullptr && node.out.pixels() == 1 && has_group_of_one(batch, norm->group);
}

Plan update_plan(const Layout& layout, const Config& config, const std::vector<Tensor>& unmoved, int stage) {
  Plan plan;
  const std::int64_t trained = layout.stages[static_cast<std::size_t>(stage)].end;
  // Parts of what is laid out like the parameters, absent where it is.
  const auto part = [](const Tensor& whole, std::int64_t begin, std::int64_t end) {
    return whole ? slice(whole, begin, end - begin) : Tensor{};
  };
  const auto factors = [&](const Tensor& whole, const Stage& of) {
    return part(whole, of.begin / parameter_alignment, of.end / parameter_alignment);
  };
  const auto emit = [&](Call call, const char* node) {
    plan.steps.push_back({std::move(call), node, Phase::update});
  };
  emit(ReportStep{layout.votes, layout.reports}, "votes");
  if (layout.loss_scale) {
    const bool dynamic = config.train.precision == Precision::fp16;
    const bool skips = dynamic || config.train.on_nan == TrainConfig::OnNan::skip;
    emit(CheckGradients{part(layout.all_gradients, 0, trained),
                        layout.loss_scale,
                        {dynamic, skips, config.train.clip_norm}},
         "optimizer");
  }
  move_averages(plan, layout, unmoved);
  for (int s = 0; s <= stage; ++s) {
    const Stage& of = layout.stages[static_cast<std::size_t>(s)];
    std::vector<Tensor> moments;
    for (const Tensor& moment : layout.moments) moments.push_back(part(moment, of.begin, of.end));
    OptimizerStep step{config.optimizer.rule,
                       part(layout.all_parameters, of.begin, of.end),
                       part(layout.all_gradients, of.begin, of.end),
                       std::move(moments),
                       factors(layout.decay, of),
                       part(layout.compute_weights, of.begin, of.end),
                       layout.loss_scale,
                       factors(layout.rates, of),
                       of.first_step};
    if (needs_trust_ratios(step.rule)) {
      const Tensor ratios{Arena::unplaced, layout.real, s, step.decay.count};
      emit(TrustRatios{step, of.begin / parameter_alignment,
                       slice(layout.parameter_ends, of.first_parameter, of.parameters), ratios},
           "optimizer");
      step.rates = ratios;
    }
    emit(std::move(step), "optimizer");
  }
  if (layout.average) {
    emit(AverageWeights{config.train.ema, part(layout.all_parameters, 0, trained),
                        part(layout.average, 0, trained), part(layout.average_compute_weights, 0, trained),
                        layout.loss_scale},
         "optimizer");
  }
  return plan;
}

Plan training_plan(const Graph& graph, const Layout& layout, const Config& config,
                   const std::vector<MicroBatch>& passes, bool resident,
                   const std::function<Plan(Plan)>& optimize_pass, int stage) {
  const bool as_tree = config.train.reproducible_across_ranks > 0;
  const FoldPlan folds = fold_plan(static_cast<int>(passes.size()), as_tree);
  Plan plan;
  plan.name = "training step";
  std::int64_t free = 0;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    free =
        append(plan, optimize_pass(training_pass(graph, layout, config, passes[i], resident, stage)), free);
    fold(plan, folds.folds[i], [&](int block) { return in_block(layout, layout.reduced_block, block); });
  }
  if (as_tree && passes.front().ranks > 1)
    sum_over_ranks_as_tree(plan, layout, passes.front().rank, passes.front().ranks);
  append(plan, update_plan(layout, config, unmoved_statistics(graph, layout, passes.front(), stage), stage),
         free);
  return plan;
}

}  // namespace convoy
