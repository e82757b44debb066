#include "src/session/plan_set.h"

#include <algorithm>
#include <numeric>

#include "comm/agree.h"
#include "src/data/source_info.h"
#include "src/plan/fusion.h"
#include "src/plan/recompute.h"
#include "src/plan/stages.h"

namespace convoy {
namespace {

/// Whether all of a node's parameters are frozen for all epochs.
bool never_trains(const Node& node, const TrainingStages& training) {
  return !node.parameters.empty() && std::all_of(node.parameters.begin(), node.parameters.end(), [&](int i) {
    return training.stage_of[static_cast<std::size_t>(i)] == static_cast<int>(training.stages.size());
  });
}

/// Throws AgreedError unless every group of BatchNorm lies within one pass.
void check_groups(const Graph& graph, const TrainConfig& train) {
  const int parts = train.reproducible_across_ranks;
  const TrainingStages training = stages_of(graph, train);
  for (const Node& node : graph.nodes) {
    const auto* norm = std::get_if<op::BatchNorm>(&node.op);
    if (norm == nullptr || never_trains(node, training)) continue;
    const int group = norm->group;
    if (train.micro_batch > 0 && (group == 0 || train.micro_batch % group != 0)) {
      const std::string is = group == 0 ? "the whole batch" : fmt::format("{} images", group);
      throw AgreedError(
          format_printable("layer {} normalises over groups of {}: with train.micro_batch={} its "
                           "group must divide that",
                           node.name, is, train.micro_batch),
          ExitCode::usage);
    }
    if (parts > 0 && group > 0 &&
        (train.global_batch % parts != 0 || train.global_batch / parts % group != 0)) {
      throw AgreedError(
          format_printable(
              "layer {} normalises over groups of {} images, which do not fit into {} images in {} "
              "logical shards (train.reproducible_across_ranks); 0 means a shard",
              node.name, group, train.global_batch, parts),
          ExitCode::usage);
    }
  }
}

/// What to change so that no group of a layer is of one image in a full batch.
std::string cure_for_one_value(const TrainConfig& train, int group) {
  if (group == 1) return "give it a group of 2 or more images (0: the whole batch)";
  if (train.reproducible_across_ranks > 0)
    return fmt::format(
        "train.global_batch={} leaves one image for a shard of train.reproducible_across_ranks={}: "
        "raise it",
        train.global_batch, train.reproducible_across_ranks);
  if (group > 1 && train.global_batch > 1)
    return fmt::format(
        "groups of {} leave one of train.global_batch={} images over: choose a group that divides it", group,
        train.global_batch);
  return "raise train.global_batch";
}

/// Looks for layers that normalise a single value per channel. Throws AgreedError if that happens in full
/// batches; returns a warning if it happens in an epoch's last batch alone.
std::string check_one_value(const Graph& graph, const TrainConfig& train, const std::vector<Range>& batches,
                            int ranks) {
  std::string layers;
  const TrainingStages training = stages_of(graph, train);
  for (const Node& node : graph.nodes) {
    if (never_trains(node, training)) continue;
    const auto is_one_in = [&](int images) {
      return normalises_one_value(node, micro_batches(train, images, 0, ranks).front());
    };
    if (batches.empty() || !is_one_in(batches.back().count)) continue;
    if (batches.size() == 1 || is_one_in(batches.front().count))
      throw AgreedError(
          format_printable(
              "layer {} normalises over a single value per channel, which has no variance: {}, "
              "or put the layer where there is more than one pixel",
              node.name,
              batches.size() == 1 && batches.front().count < train.global_batch
                  ? fmt::format("the training part has {} image(s): give it more", batches.front().count)
                  : cure_for_one_value(train, std::get<op::BatchNorm>(node.op).group)),
          ExitCode::usage);
    layers += (layers.empty() ? "" : ", ") + node.name;
  }
  if (layers.empty()) return {};
  return fmt::format(
      "in the last batch of an epoch, of {} image{}, layer {} normalises over a single value per channel: "
      "that step leaves the running variance alone; train.drop_last: true leaves the batch out",
      batches.back().count, batches.back().count == 1 ? "" : "s", layers);
}

PlanSet plans_for(const Graph& graph, const Config& config, const SampleCounts& counts,
                  const PlanTarget& target, const RankEnvironment& ranks, bool resident) {
  PlanSet set;
  set.counts = counts;
  set.resident = resident;
  set.training_batches = batches_of(counts.train, config.train.global_batch, config.train.drop_last);
  const int at_once = evaluation_batch(config.train, ranks.size());
  set.caution = check_one_value(graph, config.train, set.training_batches, ranks.size());
  set.evaluation_batches = batches_of(counts.validation, at_once, false);
  set.test_batches = batches_of(counts.test, at_once, false);
  const std::int64_t staged =  // the first rank has the largest shards
      staging_slots * std::int64_t{staged_of(config, config.train.global_batch, 0, ranks.size())};
  set.layout = make_layout(
      graph, config,
      {resident ? counts.samples : staged, counts.samples, counts.train + counts.validation + counts.test},
      target.real(), gradient_blocks(config.train, ranks.size()));

  const auto has = [&](const Call& call) { return target.has(call); };
  const auto place = [&](Plan plan) {
    return place_tensors(
        std::move(plan), set.layout, [&](const Call& call) { return target.workspace_bytes(call); },
        target.streams());
  };
  const auto activation_bytes = [&](const Plan& plan) {
    return place(plan).arenas[static_cast<std::size_t>(Arena::activations)];
  };
  const auto optimize_pass = [&](Plan pass) {
    if (config.train.fusion) pass = fuse(std::move(pass), has);
    if (config.train.recompute) pass = recompute(std::move(pass), activation_bytes);
    return pass;
  };
  const auto finish = [&](Plan plan) {
    plan = place(std::move(plan));
    for (std::size_t i = 0; i < arena_count; ++i) set.arenas[i] = std::max(set.arenas[i], plan.arenas[i]);
    return plan;
  };
  const bool sums_itself = config.train.reproducible_across_ranks > 0;
  const auto training_plans = [&](int stage) {
    std::map<int, Plan> plans;
    for (const Range& batch : set.training_batches) {
      if (plans.contains(batch.count)) continue;
      const std::vector<MicroBatch> passes =
          micro_batches(config.train, batch.count, ranks.rank(), ranks.size(), config.data.blends());
      Plan plan = training_plan(graph, set.layout, config, passes, resident, optimize_pass, stage);
      plan = insert_all_reduces(std::move(plan), set.layout, config.train.bucket_bytes,
                                sums_itself ? 1 : ranks.size(), stage);
      plans.emplace(batch.count, finish(std::move(plan)));
    }
    return plans;
  };
  for (Stage& stage : set.layout.stages) stage.first_step = stage.epoch * std::ssize(set.training_batches);
  set.training = training_plans(0);
  for (int stage = 1; stage < static_cast<int>(set.layout.stages.size()); ++stage)
    set.later_training.push_back(training_plans(stage));
  std::vector<Range> measured = set.evaluation_batches;
  measured.insert(measured.end(), set.test_batches.begin(), set.test_batches.end());
  for (const Range& batch : measured) {
    if (set.evaluation.contains(batch.count)) continue;
    const Shard shard = evaluation_shard(config.train, batch.count, ranks.rank(), ranks.size());
    const MicroBatch all{batch.count, shard, ranks.size(), ranks.rank()};
    Plan plan = evaluation_plan(graph, set.layout, config, all, resident);
    if (config.train.fusion) plan = fuse(std::move(plan), has);
    set.evaluation.emplace(batch.count, finish(std::move(plan)));
  }
  set.verification = place(verification_plan(graph, set.layout));
  return set;
}

}  // namespace

std::int64_t PlanSet::total_bytes() const {
  return std::accumulate(arenas.begin(), arenas.end(), std::int64_t{0});
}

SampleCounts sample_counts(const Dataset& dataset) {
  return {static_cast<int>(dataset.train.size()), static_cast<int>(dataset.validation.size()),
          static_cast<int>(dataset.test.size()), static_cast<int>(dataset.labels.size())};
}

SampleCounts nominal_counts(const DataConfig& config) {
  const SourceInfo info = source_info(config);
  const int samples = info.train + info.validation + info.test;
  if (config.validation_fraction == 0) return {info.train, info.validation, info.test, samples};
  const int validation = static_cast<int>(validation_count(config, info.train));
  return {info.train - validation, validation, info.test, samples};
}

PlanSet make_plans(const Graph& graph, const Config& config, const SampleCounts& counts,
                   const PlanTarget& target, const RankEnvironment& ranks) {
  if (config.train.global_batch < ranks.size()) {
    throw AgreedError(
        format_printable("train.global_batch is {}, but there are {} ranks: every rank needs at "
                         "least one image of a full batch",
                         config.train.global_batch, ranks.size()),
        ExitCode::usage);
  }
  if (config.train.drop_last && counts.train < config.train.global_batch) {
    throw AgreedError(
        format_printable("train.drop_last leaves nothing to train on: {} images, train.global_batch={}",
                         counts.train, config.train.global_batch),
        ExitCode::usage);
  }
  if (config.train.reproducible_across_ranks % ranks.size() != 0) {
    throw AgreedError(
        format_printable("train.reproducible_across_ranks={} cannot be shared by {} ranks: it must be "
                         "a multiple of their number",
                         config.train.reproducible_across_ranks, ranks.size()),
        ExitCode::usage);
  }
  check_groups(graph, config.train);
  using Resident = DataConfig::Resident;
  const bool may_choose = config.data.resident == Resident::automatic && !is_streamed(config.data.source);
  PlanSet set =
      plans_for(graph, config, counts, target, ranks, may_choose || config.data.resident == Resident::yes);
  if (!may_choose) return set;
  const bool too_large = ranks.max(set.total_bytes() > target.free_bytes() ? 1 : 0) != 0;
  return too_large ? plans_for(graph, config, counts, target, ranks, false) : set;
}

std::string memory_problem(const PlanSet& plans, const Config& config, const Engine& engine) {
  const std::int64_t free = engine.free_bytes(), total = plans.total_bytes();
  if (total <= free) return {};
  const auto of = [&](Arena arena) { return plans.arenas[static_cast<std::size_t>(arena)]; };
  const std::int64_t per_batch = of(Arena::activations) + of(Arena::workspace);
  const std::int64_t left = free - (total - per_batch);
  const std::int64_t fits =
      left <= 0 ? 0 : config.train.global_batch * left / std::max<std::int64_t>(per_batch, 1);
  std::string text = fmt::format("the plan needs {} ({} of it for activations), {} are free",
                                 human_bytes(total), human_bytes(per_batch), human_bytes(free));
  text += fits > 0
              ? fmt::format("; train.global_batch={0} would fit, or passes of train.micro_batch={0}", fits)
              : std::string("; parameters and data alone do not fit");
  return text;
}

std::string human_bytes(std::int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace convoy
