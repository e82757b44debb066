#include "src/train/trainer.h"

#include <cmath>

#include "comm/agree.h"
#include "src/core/log.h"
#include "src/io/atomic_file.h"
#include "src/train/schedule.h"

namespace convoy {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(const Config& config, const TrainOptions& options, Session& session,
                 const RankEnvironment& ranks)
    : config_(config),
      options_(options),
      session_(session),
      ranks_(ranks),
      folder_(options.output),
      console_(ranks.is_root()) {}

void Trainer::start_or_resume() {
  session_.initialize();
  std::optional<LoadedCheckpoint> checkpoint;
  if (options_.resume == "auto") {
    bool exists = false;
    agree(ranks_, [&] { exists = ranks_.is_root() && std::filesystem::exists(folder_.path()); });
    if (ranks_.max(exists ? 1 : 0) != 0) checkpoint = load_checkpoint(folder_.path(), ranks_);
  } else if (!options_.resume.empty()) {
    checkpoint = load_checkpoint(options_.resume, ranks_);
    if (!checkpoint) throw AgreedError(fmt::format("{}: no checkpoint there", options_.resume));
  }
  if (checkpoint) {
    agree(ranks_, [&] {
      progress_ = restore_checkpoint(session_, checkpoint->file, checkpoint->path.string(), true);
    });
    adapt_progress();
    console_.line(
        fmt::format("resuming after epoch {} from {}", progress_.epochs_done, checkpoint->path.string()));
  }
  agree(ranks_, [&] {
    if (!ranks_.is_root() || is_finished()) return;  // nothing to add to a run that is done
    if (checkpoint && folder_.contains(checkpoint->path)) {
      best_val_accuracy_ = folder_.prepare_resumed(config_, progress_.epochs_done);
      return set_aside_later_checkpoints(folder_.checkpoints(), progress_.epochs_done);
    }
    const std::string moved = folder_.prepare_new(config_);
    if (!moved.empty()) console_.line(fmt::format("the earlier run of this name is now in {}", moved));
  });
}

void Trainer::adapt_progress() {
  const std::int64_t steps = progress_.epochs_done * session_.steps_per_epoch();
  if (progress_.steps_done != steps) {
    if (ranks_.is_root()) {
      log_warn("the checkpoint's {} epochs had {} steps, here they have {}: the schedule goes on by epochs",
               progress_.epochs_done, progress_.steps_done, steps);
    }
    progress_.steps_done = steps;
  }
  if (progress_.best_metric != early_stop_metric()) progress_.epochs_since_best = -1;  // not comparable
}

SummaryRecord Trainer::run() {
  start_or_resume();
  console_.line(fmt::format("{}: {} parameters, {} rank{}, {}, {} images in all, {} for arenas per rank",
                            config_.name, session_.graph().parameter_count(), ranks_.size(),
                            ranks_.size() == 1 ? "" : "s", session_.engine().describe(),
                            session_.plans().layout.order.count,
                            human_bytes(session_.plans().total_bytes())));
  SummaryRecord summary;
  summary.ranks = ranks_.size();
  summary.engine = session_.engine().describe();
  const Clock::time_point start = Clock::now();
  while (!is_finished()) {
    const Clock::time_point epoch_start = Clock::now();
    EpochRecord record;
    record.epoch = progress_.epochs_done + 1;
    train_epoch(record);
    const Metrics validation = session_.evaluate();
    record.val_loss = validation.loss();
    record.val_accuracy = validation.accuracy();
    require_finite(record.val_loss, "validation", record.epoch);  // the last step may have spoilt the weights
    record.seconds = seconds_since(epoch_start);
    best_val_accuracy_ = std::max(best_val_accuracy_, record.val_accuracy);
    summary.last = record;
    console_.epoch(record, config_.train.epochs);

    progress_.epochs_since_best = improved(validation) ? 0 : progress_.epochs_since_best + 1;
    if (out_of_patience())
      console_.line(
          fmt::format("stopping early: {} epochs without improvement", progress_.epochs_since_best));
    ++progress_.epochs_done;
    save(record);
  }
  summary.best_val_accuracy = best_val_accuracy_;
  summary.seconds = seconds_since(start);
  summary.seconds_to_first_step = seconds_to_first_step_;
  if (summary.last.epoch == 0) {
    console_.line(fmt::format("nothing to do: {} of {} epochs are done{}", progress_.epochs_done,
                              config_.train.epochs, out_of_patience() ? ", stopped early" : ""));
    return summary;
  }
  if (ranks_.is_root()) attempt("summary", [&] { folder_.append(summary); });
  console_.line(fmt::format(
      "{} accuracy {:.2f} %, {:.0f} images/s in the last epoch, {:.1f} s in all; run written to {}",
      name_of_validation(config_.data), 100 * summary.last.val_accuracy, summary.last.images_per_second,
      summary.seconds, folder_.path().string()));
  return summary;
}

void Trainer::train_epoch(EpochRecord& record) {
  session_.begin_epoch(record.epoch);
  session_.reset_training_metrics();
  const std::int64_t steps = session_.steps_per_epoch();
  session_.engine().synchronize();
  const Clock::time_point start = Clock::now();
  const double images =
      session_.plans().training_batches.back().first + session_.plans().training_batches.back().count;
  for (std::int64_t i = 0; i < steps; ++i) {
    StepState state;
    state.step = progress_.steps_done;
    state.learning_rate = static_cast<float>(
        learning_rate(config_.schedule, config_.optimizer.lr, state.step, steps, config_.train.epochs));
    record.lr = state.learning_rate;
    session_.train_batch(static_cast<int>(i), state);
    ++progress_.steps_done;
    if (seconds_to_first_step_ == 0) {
      session_.engine().synchronize();
      seconds_to_first_step_ = seconds_since(options_.process_start);
    }
    if (console_.wants_live()) {
      const Metrics local =
          session_.read_local_training_metrics();  // this rank's share is enough for the eye
      const double done = static_cast<double>(i + 1) * config_.train.global_batch;
      console_.live(record.epoch, config_.train.epochs, progress_.steps_done, local.loss(),
                    std::min(done, images), images, seconds_since(start));
    }
  }
  session_.engine().synchronize();
  const double seconds = seconds_since(start);
  const Metrics train = session_.read_training_metrics();
  record.step = progress_.steps_done;
  record.train_loss = train.loss();
  record.train_accuracy = train.accuracy();
  record.images_per_second = images / seconds;
  record.loss_scale = session_.read_loss_scale();
  require_finite(record.train_loss, "training", record.epoch);
}

void Trainer::require_finite(double loss, const char* which, int epoch) const {
  if (std::isfinite(loss)) return;
  throw AgreedError(fmt::format(
      "the {} loss is not finite in epoch {}: lower optimizer.lr or check the data; the last epoch "
      "with finite losses is {}",
      which, epoch, progress_.epochs_done));
}

bool Trainer::is_finished() const {
  return progress_.epochs_done >= config_.train.epochs || out_of_patience();
}

bool Trainer::out_of_patience() const {
  return config_.train.early_stop && progress_.epochs_since_best >= config_.train.early_stop->patience;
}

std::string Trainer::early_stop_metric() const {
  using Metric = EarlyStopConfig::Metric;
  const bool by_accuracy =
      config_.train.early_stop && config_.train.early_stop->metric == Metric::val_accuracy;
  return by_accuracy ? "val_accuracy" : "val_loss";
}

bool Trainer::improved(const Metrics& validation) {
  progress_.best_metric = early_stop_metric();
  const double value =  // smaller is better
      progress_.best_metric == "val_accuracy" ? -validation.accuracy() : validation.loss();
  const bool first = progress_.epochs_since_best < 0;
  if (!first && !(value < progress_.best_value)) return false;
  progress_.best_value = value;
  return true;
}

void Trainer::attempt(const char* what, const std::function<void()>& work) const {
  try {
    work();
  } catch (const std::exception& error) {
    log_warn("no {} of epoch {}: {}; the run goes on", what, progress_.epochs_done, error.what());
  }
}

void Trainer::save(const EpochRecord& record) {
  if (!ranks_.is_root()) return;
  if (progress_.epochs_done % config_.checkpoint.every_epochs == 0 || is_finished()) {
    attempt("checkpoint", [&] {
      write_file_atomically(checkpoint_path(folder_.checkpoints(), progress_.epochs_done),
                            to_safetensors(make_checkpoint(session_, config_, progress_)));
      remove_old_checkpoints(folder_.checkpoints(), config_.checkpoint.keep);
    });
  }
  attempt("metrics", [&] { folder_.append(record); });
}

}  // namespace convoy
