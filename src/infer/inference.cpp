#include "src/infer/inference.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "src/engine/tensor_values.h"
#include "src/plan/fusion.h"
#include "src/plan/passes.h"

namespace convoy {
namespace {

/// What training needs and an answer does not would only take memory.
Config for_answers(Config config) {
  config.train.ema = 0;  // the weights of a TrainedModel are the averages
  config.train.clip_norm = 0;
  config.train.on_nan = TrainConfig::OnNan::stop;
  config.optimizer = {};
  return config;
}

EngineKind engine_kind(Device device) {
  if (device == Device::automatic) return cuda_device_count() > 0 ? EngineKind::cuda : EngineKind::cpu;
  if (device == Device::reference) return EngineKind::reference_f32;
  return device == Device::cuda ? EngineKind::cuda : EngineKind::cpu;
}

/// Below a few milliseconds of work each, threads wait for each other, and for cores that others use, longer
/// than they save.
constexpr double flops_per_thread = 1e8;

int threads_for(const Plan& plan) {
  double flops = 0;
  for (const Step& step : plan.steps) flops += static_cast<double>(flops_of(step.call));
  return static_cast<int>(std::clamp(flops / flops_per_thread, 1.0, double{std::numeric_limits<int>::max()}));
}

}  // namespace

Inference::Inference(const TrainedModel& model, Device device, int batch, int threads)
    : alone_(RankEnvironment::alone()),
      batch_(std::max(batch, 1)),
      threads_(std::max(threads, 1)),
      image_bytes_(model.graph.input().count()),
      engine_(make_engine(engine_kind(device), alone_)) {
  Config config = for_answers(model.config);
  if (!engine_->computes_in(config.train.precision)) config.train.precision = Precision::fp32;
  layout_ = make_layout(model.graph, config, {batch_, batch_, batch_}, engine_->real());
  load_plans(model, config);
  write_weights(model);
}

Inference::~Inference() = default;

void Inference::load_plans(const TrainedModel& model, const Config& config) {
  std::map<int, Plan> plans;
  ArenaSizes arenas{};
  for (const int count : std::set{1, batch_}) {
    Plan plan = evaluation_plan(model.graph, layout_, config, {count, {0, count}}, true);
    plan = fuse(std::move(plan), [&](const Call& call) { return engine_->has(call); });
    plan = place_tensors(
        std::move(plan), layout_, [&](const Call& call) { return engine_->workspace_bytes(call); },
        engine_->streams());
    plan.arenas[static_cast<std::size_t>(Arena::gradients)] = 0;
    for (std::size_t i = 0; i < arena_count; ++i) arenas[i] = std::max(arenas[i], plan.arenas[i]);
    plans.insert_or_assign(count, std::move(plan));
  }
  engine_->allocate(arenas);
  for (const auto& [count, plan] : plans)
    plans_[count] = {engine_->load(plan), plan.logits, threads_for(plan)};
}

void Inference::write_weights(const TrainedModel& model) {
  for (const Constant& constant : layout_.constants) write_values(*engine_, constant.tensor, constant.values);
  std::vector<std::int32_t> order(static_cast<std::size_t>(batch_));
  std::iota(order.begin(), order.end(), 0);
  engine_->write(layout_.order, order.data());
  const auto write = [&](const Tensor& tensor, std::span<const float> values) {
    if (tensor.dtype == DType::f32) return engine_->write(tensor, values.data());
    write_values(*engine_, tensor, {values.begin(), values.end()});
  };
  std::vector<float> reordered;
  for (std::size_t i = 0; i < model.graph.parameters.size(); ++i) {
    const Parameter& parameter = model.graph.parameters[i];
    std::span<const float> values = floats_in(model.weights, parameter.name, parameter.file_shape);
    if (!is_in_file_order(parameter)) {
      reordered.resize(std::max(reordered.size(), values.size()));
      const std::span<float> out = std::span(reordered).first(values.size());
      from_file_order(parameter, values, out);
      values = out;
    }
    write(layout_.parameters[i], values);
    if (layout_.compute_weights) write(same_place(layout_.parameters[i], layout_.compute_weights), values);
  }
  for (std::size_t i = 0; i < model.graph.statistics.size(); ++i) {
    const Statistic& statistic = model.graph.statistics[i];
    write(layout_.statistics[i], floats_in(model.weights, statistic.name, {statistic.count}));
  }
}

std::vector<float> Inference::logits(std::span<const std::uint8_t> images) {
  const auto count = static_cast<std::int64_t>(images.size()) / image_bytes_;
  check(count * image_bytes_ == static_cast<std::int64_t>(images.size()), "whole images");
  std::vector<float> out;
  for (std::int64_t first = 0; first < count; first += batch_) {
    const std::int64_t now = std::min<std::int64_t>(batch_, count - first);
    Tensor rows = layout_.images;
    rows.count = now * image_bytes_;
    engine_->write(rows, images.data() + first * image_bytes_);
    const LoadedPlan& plan =
        plans_.at(now == 1 ? 1 : batch_);  // of a short batch the last rows are left over
    engine_->limit_threads(std::min(plan.threads, threads_));
    engine_->run(plan.handle, {});
    const std::vector<double> values = read_values(*engine_, plan.logits);
    const auto classes = static_cast<std::int64_t>(values.size()) / (now == 1 ? 1 : batch_);
    out.insert(out.end(), values.begin(), values.begin() + now * classes);
  }
  return out;
}

}  // namespace convoy
