#include "src/report/symptoms.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "kernels/loss_scale.h"

namespace convoy {
namespace {

constexpr std::int64_t steps_to_learn = 20;  ///< before these nothing can be said of what was learned
constexpr double chance_band = 0.02;         ///< as a share of the loss at chance
constexpr double most_units = 0.75;
constexpr double few_gradients =
    1e-6;  ///< of a layer's, as a share of the largest layer's; or of all, as such
constexpr double clipped_too_much = 10;     ///< times train.clip_norm; some clipping is what it is for
constexpr std::int64_t telling_batch = 32;  ///< images: of fewer, many units are silent in good health
constexpr std::int64_t short_batch = 64;
constexpr std::int64_t looks_per_epoch = 8;

double chance_loss(const EpochEvidence& e) {
  return std::log(static_cast<double>(e.classes));
}

/// The epoch's loss where it is cross-entropy, which chance can be compared with; else the validation's.
double cross_entropy(const EpochEvidence& e) {
  return e.weighs ? e.record.val_loss : e.record.train_loss;
}

/// Whether the network ought to know something by now.
bool should_know(const EpochEvidence& e) {
  return e.learnable && e.warmed_up && e.classes > 1 && e.record.epoch * e.steps >= steps_to_learn;
}

std::string at_chance(const EpochEvidence& e) {
  const double chance = chance_loss(e);
  const double learned = (1 - chance_band) * chance;
  if (!should_know(e) || cross_entropy(e) < learned || e.record.val_loss < learned) return "";
  return format_printable(
      "the loss is {:.3f} after epoch {}, and guessing among {} classes gives {:.3f}: try another "
      "optimizer.lr (a tenth, or ten times as much where it is very small), schedule.warmup_epochs, or check "
      "labels and data.normalize with `convoy data info`",
      e.record.val_loss, e.record.epoch, e.classes, chance);
}

std::int64_t sum(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// Without the answers themselves: as many are right as there are images of one class, and no more is known.
std::optional<std::size_t> seems_to_answer(const EpochEvidence& e) {
  const double images = static_cast<double>(sum(e.labels));
  double entropy = 0;
  for (const std::int64_t count : e.labels) {
    const double share = static_cast<double>(count) / images;
    if (share > 0) entropy -= share * std::log(share);
  }
  if (e.record.val_loss < 0.95 * entropy) return std::nullopt;
  const std::int64_t right = std::llround(e.record.val_accuracy * images);
  const auto found = std::find(e.labels.begin(), e.labels.end(), right);
  return found == e.labels.end() ? std::nullopt
                                 : std::optional(static_cast<std::size_t>(found - e.labels.begin()));
}

std::string one_class(const EpochEvidence& e) {
  const double images = static_cast<double>(sum(e.labels));
  if (!should_know(e) || images < 20) return "";
  std::optional<std::size_t> answer;
  if (e.predicted.empty()) {
    answer = seems_to_answer(e);
  } else {
    const auto most = std::max_element(e.predicted.begin(), e.predicted.end());
    if (static_cast<double>(*most) >= 0.99 * images)
      answer = static_cast<std::size_t>(most - e.predicted.begin());
  }
  const bool expected =
      answer && *answer < e.labels.size() && static_cast<double>(e.labels[*answer]) > 0.9 * images;
  if (!answer || expected) return "";
  return format_printable(
      "after epoch {} the network answers class {} for {} validation image, whatever it shows: lower "
      "optimizer.lr, add schedule.warmup_epochs or train.clip_norm: 1, check data.normalize and how many "
      "images each class has with `convoy data info`",
      e.record.epoch, *answer, e.predicted.empty() ? "what seems to be every" : "(nearly) every");
}

std::string dead_units(const EpochEvidence& e) {
  std::vector<std::string> layers;
  for (const LayerGradients& layer : e.gradients) {
    if (static_cast<double>(layer.dead) > most_units * static_cast<double>(layer.units))
      layers.push_back(fmt::format("{} ({} of {})", layer.layer, layer.dead, layer.units));
  }
  if (layers.empty()) return "";
  const std::size_t more = layers.size() > 4 ? layers.size() - 4 : 0;
  layers.resize(layers.size() - more);
  return format_printable(
      "most units are dead, no gradient reaches them in epoch {}: of layer {}{}: lower optimizer.lr, add "
      "schedule.warmup_epochs, put a batchnorm before the activations or use leaky_relu or gelu",
      e.record.epoch, fmt::join(layers, ", layer "), more > 0 ? fmt::format(" and {} more", more) : "");
}

std::string vanishing_gradients(const EpochEvidence& e) {
  // Small gradients are right once the loss is small.
  if (e.gradients.empty() || !e.learnable || cross_entropy(e) < 0.5 * chance_loss(e)) return "";
  double largest = 0;
  for (const LayerGradients& layer : e.gradients) largest = std::max(largest, layer.rms);
  const auto weak = std::find_if(e.gradients.begin(), e.gradients.end(), [&](const LayerGradients& layer) {
    return layer.dead < layer.units && layer.rms < few_gradients * largest;
  });
  const char* advice =
      "put a batchnorm before the activations, use relu in place of sigmoid or tanh, init: he, or residual "
      "connections; in fp16, check train.precision: bf16";
  if (e.gradient_norm < few_gradients)
    return format_printable("the gradients vanish: their norm is {:.1e} in epoch {}, and the loss {:.3f}: {}",
                            e.gradient_norm, e.record.epoch, e.record.train_loss, advice);
  if (weak == e.gradients.end()) return "";
  return format_printable(
      "the gradients vanish on their way back: those of layer {} are {:.1e} on average in epoch {}, where "
      "others are {:.1e}: {}",
      weak->layer, weak->rms, e.record.epoch, largest, advice);
}

std::string clipped(const EpochEvidence& e) {
  const double limit = static_cast<double>(e.clip_norm);
  if (limit <= 0 || !e.warmed_up || e.norms.size() < 4) return "";
  const bool always = std::all_of(e.norms.begin(), e.norms.end(),
                                  [&](double norm) { return norm > clipped_too_much * limit; });
  if (!always) return "";
  const double mean =
      std::accumulate(e.norms.begin(), e.norms.end(), 0.0) / static_cast<double>(e.norms.size());
  return format_printable(
      "train.clip_norm: {} shortens the gradients of every step: their norm is {:.3g} on average in epoch "
      "{}, so that steps are {:.0f} times smaller than optimizer.lr says: raise train.clip_norm, or lower "
      "optimizer.lr if the loss jumps without it",
      e.clip_norm, mean, e.record.epoch, mean / limit);
}

std::string falling_loss_scale(const EpochEvidence& e) {
  if (!e.record.loss_scale || !e.scale_before) return "";
  const LossScale& now = *e.record.loss_scale;
  const std::int64_t skipped = now.skipped_steps - e.scale_before->skipped_steps;
  const bool many = skipped >= 8 && 10 * skipped >= e.steps && now.scale < e.scale_before->scale;
  const bool at_the_end = now.scale <= loss_scale::smallest && skipped > 0;
  if (!many && !at_the_end) return "";
  return format_printable(
      "the loss scale keeps falling, to {:g} in epoch {}, and {} of its {} steps were left out, since their "
      "gradients overflow fp16: lower optimizer.lr, set train.clip_norm: 1 or train.precision: bf16",
      now.scale, e.record.epoch, skipped, e.steps);
}

}  // namespace

std::vector<Symptom> symptoms_of(const EpochEvidence& evidence) {
  std::vector<Symptom> shown;
  const auto add = [&](const char* name, std::string text) {
    if (!text.empty()) shown.push_back({name, std::move(text)});
  };
  add("one_class", one_class(evidence));
  add("chance", at_chance(evidence));
  add("dead_units", dead_units(evidence));
  add("vanishing_gradients", vanishing_gradients(evidence));
  add("clipped", clipped(evidence));
  add("loss_scale", falling_loss_scale(evidence));
  return shown;
}

SymptomWatch::SymptomWatch(const Config& config, Session& session) : config_(config), session_(session) {
  const std::vector<Range>& batches = session.plans().training_batches;
  const std::int64_t last = std::ssize(batches) - 1;
  const bool is_short =
      last > 0 && batches.back().count < std::min<std::int64_t>(batches.front().count, short_batch);
  whole_batch_ = is_short ? last - 1 : last;
  if (batches[static_cast<std::size_t>(whole_batch_)].count < telling_batch) whole_batch_ = -1;
  evidence_.classes = session.graph().classes();
  evidence_.steps = session.steps_per_epoch();
  evidence_.learnable = config.data.source != Source::synthetic;
  evidence_.weighs = config.train.loss.gamma > 0 || config.train.class_weights.any();
  evidence_.labels = session.validation_counts();
  evidence_.clip_norm = config.train.clip_norm;
  evidence_.scale_before = session.read_loss_scale();
}

void SymptomWatch::after_step(int epoch, std::int64_t index) {
  if (config_.train.clip_norm > 0 &&
      index % std::max<std::int64_t>(evidence_.steps / looks_per_epoch, 1) == 0) {
    const std::vector<double> state = session_.read_values(session_.plans().layout.loss_scale);
    if (std::isfinite(state[loss_scale::norm])) evidence_.norms.push_back(state[loss_scale::norm]);
  }
  // At growing intervals, since it takes as long as a step of a small network.
  const bool due = std::has_single_bit(static_cast<unsigned>(epoch)) || epoch == config_.train.epochs;
  if (due && index == whole_batch_) look_at_gradients();
}

void SymptomWatch::look_at_gradients() {
  const Layout& layout = session_.plans().layout;
  const double factor =
      layout.loss_scale ? 1 / session_.read_values(layout.loss_scale)[loss_scale::scale] : 1.0;
  evidence_.gradients.clear();
  double all_squares = 0;
  const std::vector<Parameter>& parameters = session_.graph().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].is_weight || !session_.trains(i)) continue;
    const std::vector<double> values = session_.read_values(layout.gradients[i]);
    const std::int64_t units = parameters[i].dims.front();  // rows: each unit's weights are one run
    const std::int64_t width = parameters[i].count() / units;
    std::int64_t dead = 0;
    double squares = 0;
    for (std::int64_t unit = 0; unit < units; ++unit) {
      const auto row = values.begin() + unit * width;
      const double of_row = std::inner_product(row, row + width, row, 0.0);
      squares += of_row;
      if (of_row == 0 && std::all_of(row, row + width, [](double value) { return value == 0; })) ++dead;
    }
    if (!std::isfinite(squares)) {  // a skipped step is not counted
      evidence_.gradients.clear();
      return;
    }
    all_squares += squares;
    const std::string& name = parameters[i].name;
    evidence_.gradients.push_back({name.substr(0, name.rfind('.')), units, dead,
                                   factor * std::sqrt(squares / static_cast<double>(values.size()))});
  }
  evidence_.gradient_norm = factor * std::sqrt(all_squares);
}

std::vector<Symptom> SymptomWatch::at_epoch_end(const EpochRecord& record, const Predictions& predictions) {
  evidence_.record = record;
  const double per_epoch = static_cast<double>(session_.steps_per_epoch());
  evidence_.warmed_up = record.epoch * per_epoch >= config_.schedule.warmup(per_epoch, config_.train.epochs);
  evidence_.predicted.clear();
  if (!predictions.labels.empty()) {
    evidence_.predicted.assign(static_cast<std::size_t>(predictions.classes), 0);
    for (auto row = predictions.logits.begin(); row != predictions.logits.end(); row += predictions.classes)
      ++evidence_.predicted[static_cast<std::size_t>(std::max_element(row, row + predictions.classes) - row)];
  }
  std::vector<Symptom> fresh;
  present_.clear();
  for (Symptom& symptom : symptoms_of(evidence_)) {
    present_.push_back(symptom.name);
    if (said_.insert(symptom.name).second) fresh.push_back(std::move(symptom));
  }
  evidence_.scale_before = record.loss_scale;
  evidence_.gradients.clear();
  evidence_.norms.clear();
  return fresh;
}

}  // namespace convoy
