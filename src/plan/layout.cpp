#include "src/plan/layout.h"

#include <algorithm>
#include <optional>
#include <span>

#include "core/ceil_div.h"
#include "core/step_state.h"
#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"
#include "kernels/parameter_hash.h"
#include "src/plan/stages.h"

namespace convoy {
namespace {

/// Hands out tensors of an arena one after the other, each aligned to 256 bytes.
class Allocator {
 public:
  explicit Allocator(ArenaSizes& sizes) : sizes_(sizes) {}
  Tensor take(Arena arena, DType dtype, std::int64_t count) {
    std::int64_t& used = sizes_[static_cast<std::size_t>(arena)];
    const Tensor tensor{arena, dtype, used, count};
    used += ceil_div(tensor.bytes(), 256) * 256;
    return tensor;
  }

 private:
  ArenaSizes& sizes_;
};

DType compute_type(Precision precision, DType real) {
  if (precision == Precision::fp16) return DType::f16;
  return precision == Precision::bf16 ? DType::bf16 : real;
}

std::vector<double> per_channel(const std::vector<float>& values, int channels, double otherwise) {
  std::vector<double> out(static_cast<std::size_t>(channels), otherwise);
  if (values.size() == 1) out.assign(out.size(), values[0]);
  if (values.size() > 1) out.assign(values.begin(), values.end());
  return out;
}

/// Runs of parameter_alignment elements.
std::int64_t chunks_of(std::int64_t count) {
  return ceil_div(count, parameter_alignment);
}

/// Channels of the widest BatchNorm; 1 without any.
std::int64_t widest_norm(const Graph& graph) {
  std::int64_t widest = 1;
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<op::BatchNorm>(node.op)) widest = std::max<std::int64_t>(widest, node.out.c);
  return widest;
}

}  // namespace

int stage_of_epoch(const Layout& layout, int epoch) {
  int stage = 0;
  for (const Stage& next : std::span(layout.stages).subspan(1))
    if (next.epoch < epoch) ++stage;
  return stage;
}

Tensor same_place(const Tensor& parameter, const Tensor& block) {
  const std::int64_t first = parameter.offset / size_of(parameter.dtype);
  return {block.arena, block.dtype, block.offset + first * size_of(block.dtype), parameter.count};
}

Tensor in_block(const Layout& layout, Tensor of_first, int block) {
  of_first.offset += block * layout.reduced_block.bytes();
  return of_first;
}

Layout make_layout(const Graph& graph, const Config& config, const DataExtent& data, DType real,
                   int gradient_blocks) {
  Layout layout;
  layout.real = real;
  layout.compute = compute_type(config.train.precision, real);
  Allocator allocator(layout.arenas);

  const std::size_t count = graph.parameters.size();
  layout.parameters.resize(count);
  TrainingStages training = stages_of(graph, config.train);
  layout.stages = std::move(training.stages), layout.stage_of = std::move(training.stage_of);
  const std::vector<ParameterGroup> groups = groups_of(graph, config.optimizer);
  std::int64_t elements = 0;
  std::vector<double> decay, rates, ends;
  const int stages = static_cast<int>(layout.stages.size());
  for (int stage = 0; stage <= stages; ++stage) {
    const std::int64_t begin = elements, first_parameter = std::ssize(ends);
    for (std::size_t i = count; i-- > 0;) {
      if (layout.stage_of[i] != stage) continue;
      const std::int64_t size = graph.parameters[i].count(), chunks = chunks_of(size);
      layout.parameters[i] = {Arena::parameters, real, elements * size_of(real), size};
      decay.insert(decay.end(), static_cast<std::size_t>(chunks), double{groups[i].decay});
      rates.insert(rates.end(), static_cast<std::size_t>(chunks), double{groups[i].rate});
      elements += chunks * parameter_alignment;
      if (stage < stages) ends.push_back(static_cast<double>(chunks_of(elements)));
    }
    if (stage == stages) break;
    Stage& of = layout.stages[static_cast<std::size_t>(stage)];
    of.begin = begin, of.end = elements;
    of.first_parameter = first_parameter, of.parameters = std::ssize(ends) - first_parameter;
  }
  const std::int64_t trained = layout.stages.back().end;
  std::int64_t statistics = 0;
  std::vector<double> momentum;
  for (const Statistic& statistic : graph.statistics) {
    layout.statistics.push_back({Arena::statistics, real, statistics * size_of(real), statistic.count});
    const std::int64_t chunks = chunks_of(statistic.count);
    momentum.insert(momentum.end(), static_cast<std::size_t>(chunks), double{statistic.momentum});
    statistics += chunks * parameter_alignment;
  }
  layout.all_parameters = allocator.take(Arena::parameters, real, elements);
  layout.all_statistics = allocator.take(Arena::statistics, real, statistics);

  const std::int64_t slices = std::max(config.train.reproducible_across_ranks, 1) * parameter_alignment;
  const std::int64_t summed = trained + parameter_alignment + statistics;
  layout.gradient_blocks = gradient_blocks;
  layout.reduced_block = {Arena::gradients, real, 0, ceil_div(summed, slices) * slices};
  layout.all_gradients = {Arena::gradients, real, 0, trained};
  layout.votes = {Arena::gradients, real, trained * size_of(real), 2};
  layout.all_batch_statistics = {Arena::gradients, real, (trained + parameter_alignment) * size_of(real),
                                 statistics};
  allocator.take(Arena::gradients, real, gradient_blocks * layout.reduced_block.count);
  if (config.distributed.gradient_dtype != Precision::fp32)
    layout.compressed_gradients =
        allocator.take(Arena::gradients, compute_type(config.distributed.gradient_dtype, real), trained);
  for (const Tensor& statistic : layout.statistics)
    layout.batch_statistics.push_back(same_place(statistic, layout.all_batch_statistics));
  for (std::size_t i = 0; i < count; ++i) {
    const bool never_trains = layout.stage_of[i] == stages;
    layout.gradients.push_back(never_trains ? Tensor{}
                                            : same_place(layout.parameters[i], layout.all_gradients));
  }
  if (layout.compute != real)
    layout.compute_weights = allocator.take(Arena::compute_weights, layout.compute, elements);
  if (config.train.ema > 0) {
    layout.average = allocator.take(Arena::average, real, elements);
    if (layout.compute_weights)
      layout.average_compute_weights = allocator.take(Arena::average, layout.compute, elements);
  }
  if (checks_gradients(config.train)) {
    layout.loss_scale = allocator.take(Arena::loss_scale, real, loss_scale::fields);
  }
  for (std::size_t i = 0; i < moments_of(config.optimizer.rule).size(); ++i) {
    layout.moments.push_back(allocator.take(Arena::moments, real, trained));
  }
  layout.reports = allocator.take(Arena::reports, DType::f64, report_slots * report_fields);
  layout.train_metrics = allocator.take(Arena::metrics, DType::f64, 3);
  layout.validation_metrics = allocator.take(Arena::metrics, DType::f64, 3);
  const std::int64_t hashed = static_cast<std::int64_t>(count) * (layout.average ? 2 : 1);
  layout.hashes = allocator.take(Arena::metrics, DType::i32, hash_words * hashed);

  const FeatureShape& image = graph.input();
  layout.images = allocator.take(Arena::images, DType::u8, data.image_rows * image.count());
  layout.labels = allocator.take(Arena::labels, DType::i32, data.samples);
  layout.order = allocator.take(Arena::order, DType::i32, data.order);

  const auto constant = [&](std::vector<double> values, std::optional<DType> type = {}) {
    const Tensor tensor = allocator.take(Arena::constants, type.value_or(real), std::ssize(values));
    layout.constants.push_back({tensor, std::move(values)});
    return tensor;
  };
  layout.decay = constant(std::move(decay));
  if (needs_trust_ratios(config.optimizer.rule))
    layout.parameter_ends = constant(std::move(ends), DType::i32);
  if (!config.optimizer.groups.empty()) layout.rates = constant(std::move(rates));
  if (!config.train.freeze.empty())
    layout.zeros = constant(std::vector<double>(static_cast<std::size_t>(widest_norm(graph)), 0.0));
  if (config.train.class_weights.any())
    layout.class_weights = allocator.take(Arena::constants, real, graph.classes());
  layout.statistic_momentum = constant(std::move(momentum));
  std::vector<double> scale = per_channel(config.data.std, image.c, 1.0);
  std::vector<double> shift = per_channel(config.data.mean, image.c, 0.0);
  for (std::size_t i = 0; i < scale.size(); ++i) {
    scale[i] = 1.0 / scale[i];
    shift[i] = -shift[i] * scale[i];
  }
  layout.scale = constant(std::move(scale));
  layout.shift = constant(std::move(shift));
  return layout;
}

}  // namespace convoy
