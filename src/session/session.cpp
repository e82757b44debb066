#include "src/session/session.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "comm/agree.h"
#include "comm/cores.h"
#include "kernels/loss_scale.h"
#include "src/data/class_names.h"
#include "src/data/epoch_order.h"
#include "src/engine/tensor_values.h"
#include "src/session/blend.h"
#include "src/session/class_weights.h"

namespace convoy {

Session::Session(const Config& config, Dataset dataset, std::unique_ptr<Engine> engine,
                 const RankEnvironment& ranks, std::shared_future<DataIdentity> identity)
    : config_(config),
      ranks_(ranks),
      dataset_(std::move(dataset)),
      identity_(std::move(identity)),
      engine_(std::move(engine)) {
  agree(ranks, [&] {
    graph_ = build_graph(config.model);
    check_fit(config, dataset_, graph_);
  });
  ranks_.activity().begin("planning");
  plans_ = make_plans(graph_, config_, sample_counts(dataset_), *engine_, ranks);
  agree(ranks, [&] {
    if (const std::string problem = memory_problem(plans_, config_, *engine_); !problem.empty())
      fail("{}", problem);
  });
  agree(ranks, [&] { engine_->allocate(plans_.arenas); });
  const auto load_training = [&](const std::map<int, Plan>& plans) {
    std::map<int, int>& loaded = training_.emplace_back();
    for (const auto& [count, plan] : plans) loaded[count] = engine_->load(plan);
  };
  load_training(plans_.training);
  for (const std::map<int, Plan>& plans : plans_.later_training) load_training(plans);
  for (const auto& [count, plan] : plans_.evaluation) evaluation_[count] = engine_->load(plan);
  verification_ = engine_->load(plans_.verification);
  ranks_.activity().begin("tuning tiles");
  if (config_.train.autotune) agree(ranks, [&] { engine_->tune(); });

  ranks_.activity().begin("writing data to the device");
  for (const Constant& constant : plans_.layout.constants) write_values(constant.tensor, constant.values);
  if (const Tensor& weights = plans_.layout.class_weights)
    write_values(weights, class_weights(config_.train.class_weights, dataset_, graph_.classes()));
  engine_->write(plans_.layout.labels, dataset_.labels.data());
  if (plans_.resident) {
    engine_->write(plans_.layout.images, dataset_.images.data());
    dataset_.images = {};
  } else {
    const int threads = dataset_.source ? spare_cores(ranks) : 1;
    agree(ranks, [&] { feed_.emplace(dataset_, *engine_, plans_.layout.images, threads); });
  }
}

Session::~Session() = default;

void check_fit(const Config& config, const Dataset& dataset, const Graph& graph) {
  if (dataset.image != graph.input()) {
    fail_usage("{}: model.input is {} (H,W,C), but the data set's images are {}", config.model.mark.text(),
               to_string(graph.input()), to_string(dataset.image));
  }
  if (dataset.classes > graph.classes()) {
    fail_usage("{}: the last layer gives {} scores, but the data set has {} classes",
               config.model.mark.text(), graph.classes(), dataset.classes);
  }
  if (dataset.classes < graph.classes() && !config.model.spare_scores) {
    fail_usage(
        "{0}: the last layer gives {1} scores, but the data set has {2} classes: give the last linear layer "
        "{2} outputs, or set model.spare_scores: true where scores of no class are meant",
        config.model.mark.text(), graph.classes(), dataset.classes);
  }
  const ClassWeights& weights = config.train.class_weights;
  if (!weights.values.empty() && std::ssize(weights.values) != dataset.classes)
    fail_usage("{}: train.class_weights has {} values, but the data set has {} classes", weights.mark.text(),
               weights.values.size(), dataset.classes);
}

void Session::initialize() {
  for (std::size_t i = 0; i < graph_.parameters.size(); ++i) {
    std::vector<float> values = initial_value(graph_.parameters[i], config_.seed);
    // Libraries of other hosts may round differently.
    ranks_.broadcast(values.data(), values.size() * sizeof(float));
    const Tensor& parameter = plans_.layout.parameters[i];
    write_values(parameter, {values.begin(), values.end()});
    if (plans_.layout.average)
      write_values(same_place(parameter, plans_.layout.average), {values.begin(), values.end()});
  }
  for (std::size_t i = 0; i < graph_.statistics.size(); ++i) {
    const Tensor& tensor = plans_.layout.statistics[i];
    write_values(tensor,
                 std::vector<double>(static_cast<std::size_t>(tensor.count), graph_.statistics[i].initial));
  }
  if (plans_.layout.loss_scale) {
    std::vector<double> state(loss_scale::fields, 0.0);
    state[loss_scale::scale] = config_.train.precision == Precision::fp16 ? loss_scale::first : 1;
    write_values(plans_.layout.loss_scale, state);
  }
}

bool Session::trains(std::size_t parameter) const {
  return plans_.layout.stage_of[parameter] <= stage_of_epoch(plans_.layout, epoch_);
}

void Session::begin_epoch(int epoch, int first) {
  write_order(epoch);
  const auto batches = std::span(plans_.training_batches).subspan(static_cast<std::size_t>(first));
  Occasion occasion{true, epoch};
  if (config_.data.balance) occasion = {true, static_cast<int>((epoch - 1) * steps_per_epoch() + first), 1};
  stage(batches, 0, occasion, [&](const Range& batch) {
    std::vector<Shard> shards;
    for (const MicroBatch& pass : micro_batches(config_.train, batch.count, ranks_.rank(), ranks_.size())) {
      shards.push_back(pass.shard);
      if (config_.data.blends() && pass.shard.count > 0) shards.push_back({pass.after, 1});
    }
    return shards;
  });
}

/// The epoch's training order, then validation's and the test's, which never change.
void Session::write_order(int epoch) {
  epoch_ = epoch;
  order_ = training_order(dataset_, config_.data.balance, config_.seed, epoch);
  for (const Part part : {Part::validation, Part::test})
    order_.insert(order_.end(), ids_of(dataset_, part).begin(), ids_of(dataset_, part).end());
  engine_->write(plans_.layout.order, order_.data());
}

/// Batches begin at `first` of the order; shards_of(batch) is what this rank has of one.
void Session::stage(std::span<const Range> batches, std::int64_t first, const Occasion& occasion,
                    const std::function<std::vector<Shard>(const Range&)>& shards_of) {
  if (!feed_) return;
  std::vector<std::vector<std::int32_t>> samples;
  for (const Range& batch : batches) {
    std::vector<std::int32_t>& ids = samples.emplace_back();
    for (const Shard& shard : shards_of(batch)) {
      const auto begin = order_.begin() + first + batch.first + shard.first;
      ids.insert(ids.end(), begin, begin + shard.count);
    }
  }
  feed_->start(std::move(samples), occasion);
}

int Session::next_slot(int images) {
  return feed_ ? feed_->next(images) : 0;
}

void Session::train_batch(int index, StepState state) {
  const int plan = prepare_batch(index, state);
  engine_->run(plan, state);
}

std::vector<CallTime> Session::train_batch_timed(int index, StepState state) {
  const int plan = prepare_batch(index, state);
  return engine_->run_timed(plan, state);
}

int Session::prepare_batch(int index, StepState& state) {
  const Range& batch = plans_.training_batches[static_cast<std::size_t>(index)];
  ranks_.activity().begin_step(state.step);
  state.seed = config_.seed;
  // A balanced epoch shows images of small classes several times, each batch another change of them.
  state.epoch = config_.data.balance ? static_cast<std::int32_t>(state.step) : epoch_;
  state.first = batch.first;
  if (config_.data.blends()) state.blend = draw_blend(config_.data, dataset_.image, state);
  if (feed_) state.slot = next_slot(staged_of(config_, batch.count, ranks_.rank(), ranks_.size()));
  return training_.at(static_cast<std::size_t>(stage_of_epoch(plans_.layout, epoch_))).at(batch.count);
}

StepVerdict Session::verdict(std::int64_t step) {
  const StepReport report = engine_->await_report(step);
  return {report.loss, std::isfinite(report.loss), report.stop > 0};
}

Metrics Session::evaluate(Predictions* predictions, Part part, const View& view) {
  StopPoll nobody_asks({}, *engine_, ranks_);
  return evaluate_unless(nobody_asks, predictions, part, view).value();
}

std::optional<Metrics> Session::evaluate_unless(StopPoll& poll, Predictions* predictions, Part part,
                                                const View& view) {
  check(feed_ || view == View{}, "images in the device's memory are looked at as they are");
  ranks_.activity().begin(part == Part::test ? "testing" : "validating");
  if (order_.empty()) write_order(0);
  const std::vector<std::int32_t>& ids = ids_of(dataset_, part);
  const bool test = part == Part::test;
  const std::vector<Range>& batches = test ? plans_.test_batches : plans_.evaluation_batches;
  const std::int64_t first = std::ssize(dataset_.train) + (test ? std::ssize(dataset_.validation) : 0);
  stage(batches, first, {.view = view},
        [&](const Range& batch) { return std::vector<Shard>{evaluation_shard(batch)}; });
  write_values(plans_.layout.validation_metrics, {0, 0, 0});
  if (predictions != nullptr) {
    predictions->classes = graph_.classes();
    predictions->labels.clear();
    for (const std::int32_t id : ids)
      predictions->labels.push_back(dataset_.labels[static_cast<std::size_t>(id)]);
    predictions->logits.assign(ids.size() * static_cast<std::size_t>(graph_.classes()), 0.0);
  }
  poll.begin();
  for (const Range& batch : batches) {
    if (poll.says_stop()) return std::nullopt;
    ranks_.activity().advance();
    StepState state;
    state.seed = config_.seed;
    state.first = first + batch.first;
    state.slot = next_slot(evaluation_shard(batch).count);
    engine_->run(evaluation_.at(batch.count), state);
    if (predictions != nullptr) read_logits(batch, predictions->logits);
  }
  if (predictions != nullptr) ranks_.sum(predictions->logits);  // every row is zero but on one rank
  return sum_over_ranks(read_local(plans_.layout.validation_metrics));
}

void Session::read_logits(const Range& batch, std::vector<double>& logits) {
  const Shard shard = evaluation_shard(batch);
  if (shard.count == 0) return;
  const std::vector<double> rows = read_values(plans_.evaluation.at(batch.count).logits);
  const std::int64_t first = std::int64_t{batch.first} + shard.first;
  std::copy(rows.begin(), rows.end(), logits.begin() + first * graph_.classes());
}

Metrics Session::read_training_metrics() {
  return sum_over_ranks(read_local_training_metrics());
}

Metrics Session::read_local_training_metrics() {
  return read_local(plans_.layout.train_metrics);
}

void Session::reset_training_metrics() {
  write_values(plans_.layout.train_metrics, {0, 0, 0});
}

std::optional<LossScale> Session::read_loss_scale() {
  if (!plans_.layout.loss_scale) return std::nullopt;
  const std::vector<double> state = read_values(plans_.layout.loss_scale);
  return LossScale{state[loss_scale::scale], std::llround(state[loss_scale::skipped_steps])};
}

Metrics Session::read_local(const Tensor& tensor) {
  const std::vector<double> values = read_values(tensor);
  return {values[0], values[1], values[2]};
}

Metrics Session::sum_over_ranks(Metrics local) const {
  std::array<double, 3> values{local.loss_sum, local.correct, local.count};
  ranks_.sum(values);
  return {values[0], values[1], values[2]};
}

std::vector<std::string> Session::replaced_images() const {
  if (!dataset_.source) return {};
  std::string mine;
  for (const std::int32_t sample : dataset_.source->replaced()) mine += fmt::format("{} ", sample);
  std::set<std::int32_t> samples;  // several ranks may meet the same picture in different epochs
  for (const std::string& text : ranks_.gather(mine)) {
    std::istringstream words(text);
    for (std::int32_t sample = 0; words >> sample;) samples.insert(sample);
  }
  std::vector<std::string> names;
  for (const std::int32_t sample : samples) names.push_back(dataset_.source->name_of(sample));
  if (std::ssize(names) > config_.data.max_bad)
    throw AgreedError(format_printable("{} broken pictures on all ranks together, data.max_bad allows {}: {}",
                                       names.size(), config_.data.max_bad, fmt::join(names, ", ")));
  return names;
}

std::vector<std::uint8_t> Session::read_validation_image(std::int64_t index) {
  const std::int64_t size = dataset_.image.count();
  const std::int32_t sample = dataset_.validation[static_cast<std::size_t>(index)];
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size));
  if (plans_.resident)
    engine_->read(slice(plans_.layout.images, sample * size, size), pixels.data());
  else
    fetch_image(dataset_, sample, {}, pixels.data());
  return pixels;
}

std::vector<std::int64_t> Session::validation_counts() const {
  std::vector<std::int64_t> counts = count_classes(dataset_, dataset_.validation);
  counts.resize(static_cast<std::size_t>(graph_.classes()));
  return counts;
}

std::vector<std::string> Session::class_names() const {
  return dataset_.class_names;
}

std::optional<DataIdentity> Session::data_identity() const {
  const std::shared_future<DataIdentity> identity = identity_;  // each thread waits on a copy of its own
  return identity.valid() ? std::optional(identity.get()) : std::nullopt;
}

std::vector<NamedHash> Session::hash_weights() {
  engine_->run(verification_, {});
  std::vector<NamedHash> hashes;
  for (const Step& step : plans_.verification.steps) hashes.push_back({step.node, 0});
  std::vector<std::uint64_t> values(hashes.size());
  engine_->read(plans_.layout.hashes, values.data());
  for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i].hash = values[i];
  return hashes;
}

std::vector<NamedTensor> Session::named_tensors(bool with_optimizer) const {
  const Layout& layout = plans_.layout;
  std::span<const char* const> moments;
  if (with_optimizer) moments = moments_of(config_.optimizer.rule);
  std::vector<NamedTensor> out;
  for (std::size_t i = 0; i < graph_.parameters.size(); ++i) {
    const Parameter& parameter = graph_.parameters[i];
    out.push_back({parameter.name, layout.parameters[i], &parameter, parameter.file_shape});
    if (layout.average) {
      out.push_back({fmt::format("average.{}", parameter.name),
                     same_place(layout.parameters[i], layout.average), &parameter, parameter.file_shape,
                     /*optional=*/true, /*stand_in=*/parameter.name});
    }
    for (std::size_t m = 0; m < moments.size() && layout.gradients[i]; ++m) {
      out.push_back({fmt::format("optimizer.{}.{}", moments[m], parameter.name),
                     same_place(layout.parameters[i], layout.moments[m]), &parameter, parameter.file_shape});
    }
  }
  for (std::size_t i = 0; i < graph_.statistics.size(); ++i) {
    const Statistic& statistic = graph_.statistics[i];
    out.push_back({statistic.name, layout.statistics[i], nullptr, {statistic.count}});
  }
  if (with_optimizer && layout.loss_scale) {
    out.push_back(
        {"optimizer.loss_scale", layout.loss_scale, nullptr, {layout.loss_scale.count}, /*optional=*/true});
  }
  return out;
}

std::vector<double> Session::read_values(const Tensor& tensor) {
  return convoy::read_values(*engine_, tensor);
}

void Session::write_values(const Tensor& tensor, const std::vector<double>& values) {
  convoy::write_values(*engine_, tensor, values);
  const Layout& layout = plans_.layout;
  const Tensor compute_weights = tensor.arena == Arena::parameters ? layout.compute_weights
                                 : tensor.arena == Arena::average  ? layout.average_compute_weights
                                                                   : Tensor{};
  if (compute_weights) convoy::write_values(*engine_, same_place(tensor, compute_weights), values);
}

Shard Session::evaluation_shard(const Range& batch) const {
  return convoy::evaluation_shard(config_.train, batch.count, ranks_.rank(), ranks_.size());
}

}  // namespace convoy
