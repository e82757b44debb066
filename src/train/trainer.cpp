#include "src/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/reason.h"
#include "src/checkpoint/weights_file.h"
#include "src/session/replicas.h"
#include "src/train/schedule.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string place_of(const Progress& progress) {
  if (progress.images_done == 0) return fmt::format("after epoch {}", progress.epochs_done);
  return fmt::format("in epoch {}, after step {}", progress.epochs_done + 1, progress.steps_done);
}

}  // namespace

Trainer::Trainer(const Config& config, const TrainOptions& options, Session& session,
                 const RankEnvironment& ranks, Console& console)
    : config_(config),
      options_(options),
      session_(session),
      ranks_(ranks),
      folder_(options.output),
      console_(console),
      training_poll_(options.stop_requested, session.engine(), ranks),
      evaluation_poll_(options.stop_requested, session.engine(), ranks) {
  if (options.profile_steps > 0) profiler_.emplace(options.profile_steps);
}

void Trainer::start_or_resume() {
  ranks_.activity().begin("preparing the run");
  session_.initialize();
  std::optional<LoadedCheckpoint> checkpoint;
  if (options_.resume == "auto") {
    bool exists = false;
    agree(ranks_, [&] { exists = ranks_.is_root() && fs::exists(folder_.path()); });
    if (ranks_.max(exists ? 1 : 0) != 0) checkpoint = load_checkpoint(folder_.path(), ranks_);
  } else if (!options_.resume.empty()) {
    checkpoint = load_checkpoint(options_.resume, ranks_);
    if (!checkpoint) throw AgreedError(no_checkpoint_at(options_.resume));
  }
  Progress stored;
  if (!checkpoint && !options_.init.empty()) {
    const TensorFile weights = load_weights(options_.init, ranks_);
    RestoredWeights restored;
    agree(ranks_, [&] {
      restored = restore_weights(session_, weights, options_.init.string(), options_.init_except);
      if (restored.anew.empty()) compare_classes(weights);
    });
    console_.line(
        format_printable("beginning with the weights of {}: {}", options_.init.string(), restored.text()));
  }
  if (checkpoint) {
    compare_data(*checkpoint);
    agree(ranks_,
          [&] { stored = restore_checkpoint(session_, checkpoint->file, checkpoint->path.string(), true); });
    console_.line(format_printable("resuming {} from {}", place_of(stored), checkpoint->path.string()));
    progress_ = stored;
    agree(ranks_, [&] { adapt_progress(); });
  }
  require_same_weights(session_, ranks_, "at the start");
  agree(ranks_, [&] {
    if (!ranks_.is_root() || is_finished()) return;  // a finished run is left as it is
    if (options_.lock) options_.lock->require_ours();
    if (checkpoint && folder_.contains(checkpoint->path)) {
      best_val_accuracy_ = folder_.prepare_resumed(config_, progress_.epochs_done, progress_.steps_done);
      tidy_checkpoints(folder_.checkpoints(), stored);
    } else if (const std::string moved = folder_.prepare_new(config_); !moved.empty()) {
      console_.line(format_printable("the earlier run of this name is now in {}", moved));
    }
    console_.log_to(folder_.log());
    symptoms_.emplace(config_, session_);
    writer_.emplace(session_, folder_.checkpoints(), config_.checkpoint.keep, to_yaml(config_));
    if (config_.train.tensorboard)
      board_.emplace(folder_.path(), ranks_.host(), progress_.steps_done, session_);
  });
}

void Trainer::adapt_progress() {
  const std::int64_t steps_per_epoch = session_.steps_per_epoch();
  std::optional<std::size_t> batch = batch_after(progress_.images_done);
  if (progress_.images_done > 0 && (progress_.order != order_of_data() || !batch)) {
    console_.warn(
        format_printable("the checkpoint is {} images into an epoch of {}; this run has {} in batches of {}: "
                         "epoch {} begins again",
                         progress_.images_done, progress_.order, order_of_data(), config_.train.global_batch,
                         progress_.epochs_done + 1));
    progress_.images_done = 0;
    progress_.epoch_seconds = 0;
    progress_.metrics.clear();
    batch = 0;
  }
  const std::int64_t steps = progress_.epochs_done * steps_per_epoch + static_cast<std::int64_t>(*batch);
  if (progress_.steps_done != steps) {
    console_.warn(format_printable("the checkpoint's {} steps are {} here: the schedule continues by epochs",
                                   progress_.steps_done, steps));
  }
  if (progress_.best_metric != early_stop_metric()) progress_.epochs_since_best = -1;  // not comparable
  const std::int64_t width = session_.plans().layout.train_metrics.count;
  if (static_cast<std::int64_t>(progress_.metrics.size()) != progress_.metrics_ranks * width &&
      !progress_.metrics.empty())
    fail("the checkpoint sums other metrics than this version");
  seconds_before_ = progress_.seconds;
}

std::string Trainer::order_of_data() const {
  return fmt::format("{} images, seed {}{}", session_.plans().counts.train, config_.seed,
                     config_.data.balance ? ", balanced" : "");
}

std::optional<std::size_t> Trainer::batch_after(std::int64_t images) const {
  const std::vector<Range>& batches = session_.plans().training_batches;
  std::size_t batch = 0;
  while (batch < batches.size() && batches[batch].first < images) ++batch;
  const std::int64_t begins =
      batch < batches.size() ? batches[batch].first : batches.back().first + batches.back().count;
  return begins == images ? std::optional(batch) : std::nullopt;
}

double Trainer::learning_rate_of(std::int64_t step) const {
  return learning_rate(config_.schedule, config_.optimizer.lr, step, session_.steps_per_epoch(),
                       config_.train.epochs);
}

std::optional<SummaryRecord> Trainer::run() {
  start_ = Clock::now();
  start_or_resume();
  console_.line(format_printable("{}: {} parameters, {} rank{}, {}, {} images in all, {} of memory per rank",
                                 config_.name, session_.graph().parameter_count(), ranks_.size(),
                                 ranks_.size() == 1 ? "" : "s", session_.engine().describe(),
                                 session_.plans().layout.order.count,
                                 human_bytes(session_.plans().total_bytes())));
  SummaryRecord summary;
  summary.ranks = ranks_.size();
  summary.engine = session_.engine().describe();
  bool stopping = false;
  while (!is_finished() && !stopping) {
    std::vector<fs::path> files;
    stopping = !run_epoch(summary, files) || (!is_finished() && anyone_asked_to_stop());
    if (options_.let_finish && (stopping || is_finished())) options_.let_finish();
    if (stopping || is_finished() || progress_.epochs_done % config_.checkpoint.every_epochs == 0)
      files.push_back(checkpoint_path(folder_.checkpoints(), progress_));
    save(files);
  }
  if (profiler_) report_profile();
  finish_saving();
  if (stopping) {
    console_.line(format_printable(
        "stopped on request {}; to go on, give the same command with --resume auto", place_of(progress_)));
    return std::nullopt;
  }
  if (summary.last.epoch == 0) {
    console_.line(
        out_of_patience()
            ? fmt::format("already trained for {} epochs and stopped early; raise train.early_stop.patience "
                          "({}) to go on",
                          progress_.epochs_done, config_.train.early_stop->patience)
            : fmt::format("already trained for {} epochs; raise train.epochs ({}) to go on",
                          progress_.epochs_done, config_.train.epochs));
    return summary;
  }
  console_.line(outcome(summary));
  return summary;
}

bool Trainer::run_epoch(SummaryRecord& summary, std::vector<fs::path>& files) {
  EpochRecord record;
  record.epoch = progress_.epochs_done + 1;
  if (!train_epoch(record)) return false;
  const Progress trained = progress_;
  const double seconds = record.seconds;
  const auto stop = [&] {  // a resumed run evaluates again
    progress_ = trained;
    save_epoch_progress(seconds);
    return false;
  };
  std::optional<Evaluation> evaluation;  // of the run's result, on the root
  if (!validate(record, evaluation)) return stop();
  const bool is_best = improved(record);
  ++progress_.epochs_done;
  if (out_of_patience())
    console_.line(
        format_printable("stopping early: {} epochs without improvement", progress_.epochs_since_best));
  summary.last = record;
  append(record);
  if (is_finished()) {  // before its last checkpoint: a finished checkpoint implies complete metrics
    if (symptoms_) summary.signs = symptoms_->present();
    summary.best_val_accuracy = best_val_accuracy_;
    if (session_.has_test_part() && !measure_test_part(summary, evaluation)) return stop();
    if (evaluation) write_result(*evaluation, summary);
    summary.seconds = seconds_before_ + seconds_since(start_);
    summary.seconds_to_first_step = seconds_to_first_step_;
    append(summary);
  }
  if (is_best && config_.checkpoint.best) files.push_back(best_checkpoint_path(folder_.checkpoints()));
  return true;
}

bool Trainer::train_epoch(EpochRecord& record) {
  const std::vector<Range>& batches = session_.plans().training_batches;
  const std::int64_t first_step = progress_.epochs_done * session_.steps_per_epoch();
  std::size_t batch = batch_after(progress_.images_done).value();
  session_.begin_epoch(record.epoch, static_cast<int>(batch));
  restore_epoch_metrics();
  session_.engine().synchronize();
  const Clock::time_point start = Clock::now();
  const double seconds_before = progress_.epoch_seconds;
  const double images = batches.back().first + batches.back().count;
  console_.begin_epoch(record.epoch, config_.train.epochs, first_step, std::ssize(batches));
  pace_.begin_epoch(static_cast<double>(progress_.images_done), Clock::now());
  Verdicts verdicts{first_step + static_cast<std::int64_t>(batch), progress_.steps_done};
  training_poll_.begin();
  for (; batch < batches.size(); ++batch) {
    StepState state;
    state.step = first_step + static_cast<std::int64_t>(batch);
    state.stop = options_.stop_requested && options_.stop_requested() ? 1 : 0;
    state.learning_rate = static_cast<float>(learning_rate_of(state.step));
    process_reports(state.step - 1, verdicts, record.epoch);  // the previous step may still be running
    verdicts.stop |= training_poll_.says_stop();  // with slow steps two steps earlier than the reports
    if (verdicts.stop) break;
    train_batch(batch, state);
    ++progress_.steps_done;
    progress_.images_done = batches[batch].first + batches[batch].count;
    const double seconds = seconds_before + seconds_since(start);
    if (seconds_to_first_step_ == 0) {
      session_.engine().synchronize();
      seconds_to_first_step_ = seconds_since(options_.process_start);
      pace_.add(static_cast<double>(progress_.images_done), Clock::now());
    }
    const std::int64_t verify_every = config_.distributed.verify_every;
    if (verify_every > 0 && progress_.steps_done % verify_every == 0) verify_weights();
    const std::int64_t every = config_.checkpoint.every_steps;
    if (every > 0 && progress_.steps_done % every == 0 && batch + 1 < batches.size()) {
      process_reports(state.step + 1, verdicts, record.epoch);
      if (verdicts.stop) break;
      save_epoch_progress(seconds);
      save({checkpoint_path(folder_.checkpoints(), progress_)});
    }
    if (symptoms_) symptoms_->after_step(record.epoch, static_cast<std::int64_t>(batch));
    if (console_.wants_progress()) report_progress(record, batch + 1, seconds_before, start);
  }
  process_reports(first_step + static_cast<std::int64_t>(batch), verdicts, record.epoch);
  session_.engine().synchronize();
  const double seconds = seconds_before + seconds_since(start);
  if (verdicts.stop) {
    save_epoch_progress(seconds);
    return false;
  }
  verify_weights();
  const Metrics train = session_.read_training_metrics();
  record.step = progress_.steps_done;
  record.lr = static_cast<float>(learning_rate_of(first_step + session_.steps_per_epoch() - 1));
  record.train_loss = train.loss();
  record.train_accuracy = train.accuracy();
  record.images_per_second = images / seconds;
  record.seconds = seconds;
  record.loss_scale = session_.read_loss_scale();
  if (!std::isfinite(record.train_loss))
    throw not_finite(fmt::format("the training loss is not finite in epoch {}", record.epoch));
  return true;
}

void Trainer::train_batch(std::size_t batch, const StepState& state) {
  const int index = static_cast<int>(batch);
  if (!profiler_ || !profiler_->begin_step()) return session_.train_batch(index, state);
  const PlanSet& plans = session_.plans();
  const int stage = stage_of_epoch(plans.layout, progress_.epochs_done + 1);
  const std::map<int, Plan>& of_stage =
      stage == 0 ? plans.training : plans.later_training[static_cast<std::size_t>(stage - 1)];
  profiler_->end_step(of_stage.at(plans.training_batches[batch].count),
                      session_.train_batch_timed(index, state));
  if (profiler_->is_full()) report_profile();
}

void Trainer::process_reports(std::int64_t end, Verdicts& verdicts, int epoch) {
  for (; verdicts.next < end; ++verdicts.next, ++verdicts.steps_done) {
    const StepVerdict verdict = session_.verdict(verdicts.next);
    verdicts.stop |= verdict.stop;
    // About a hundred points an epoch.
    const std::int64_t done = verdicts.steps_done + 1;
    if (board_ && done % std::max<std::int64_t>(session_.steps_per_epoch() / 100, 1) == 0)
      board_->step(done, verdict.loss, learning_rate_of(verdicts.next));
    if (verdict.finite || config_.train.on_nan == TrainConfig::OnNan::skip) continue;
    throw AgreedError(format_printable(
        "the loss of step {} in epoch {} is not finite: lower optimizer.lr, check the data, or "
        "have such steps left out by train.on_nan: skip; no checkpoint has been written since",
        verdicts.steps_done + 1, epoch));
  }
}

bool Trainer::validate(EpochRecord& record, std::optional<Evaluation>& evaluation) {
  const Clock::time_point start = Clock::now();
  Predictions predictions;
  const bool watched = wants_predictions(config_, session_);
  const bool evaluated =
      may_be_last_epoch() && !session_.has_test_part() && affords_evaluation(session_, Part::validation);
  const std::optional<Metrics> validation =
      session_.evaluate_unless(evaluation_poll_, watched || evaluated ? &predictions : nullptr);
  if (!validation) return false;
  record.val_loss = validation->loss();
  record.val_accuracy = validation->accuracy();
  record.bad_images = std::ssize(session_.replaced_images());
  if (!std::isfinite(record.val_loss)) {
    explain_validation_loss(record.epoch, predictions);
    record.val_loss = std::numeric_limits<double>::quiet_NaN();  // without a sign
  }
  validation_seconds_ = seconds_since(start);
  record.seconds += validation_seconds_;
  best_val_accuracy_ = std::max(best_val_accuracy_, record.val_accuracy);
  console_.epoch(record, config_.train.epochs);
  if (evaluated && ranks_.is_root()) evaluation = evaluation_of(predictions);
  if (!watched) predictions = {};
  look_for_symptoms(record, predictions);
  if (board_) board_->epoch(record, std::move(predictions));
  progress_.images_done = 0;
  progress_.epoch_seconds = 0;
  return true;
}

bool Trainer::measure_test_part(SummaryRecord& summary, std::optional<Evaluation>& evaluation) {
  Predictions predictions;
  const bool evaluated = affords_evaluation(session_, Part::test);
  summary.test = session_.evaluate_unless(evaluation_poll_, evaluated ? &predictions : nullptr, Part::test);
  if (summary.test && evaluated && ranks_.is_root()) evaluation = evaluation_of(predictions);
  return summary.test.has_value();
}

void Trainer::restore_epoch_metrics() {
  const Tensor& sums = session_.plans().layout.train_metrics;
  const auto width = static_cast<std::size_t>(sums.count);
  std::vector<double> mine(width, 0.0);
  if (progress_.images_done > 0) {
    // Each rank goes on with its own sums, to the same bits; on another number of ranks, the root with all.
    const bool as_before = progress_.metrics_ranks == ranks_.size();
    for (int row = 0; row < progress_.metrics_ranks; ++row) {
      if (as_before ? row != ranks_.rank() : !ranks_.is_root()) continue;
      for (std::size_t i = 0; i < width; ++i)
        mine[i] += progress_.metrics[static_cast<std::size_t>(row) * width + i];
    }
  }
  session_.write_values(sums, mine);
}

void Trainer::save_epoch_progress(double seconds) {
  const std::vector<double> mine = session_.read_values(session_.plans().layout.train_metrics);
  progress_.metrics.assign(mine.size() * static_cast<std::size_t>(ranks_.size()), 0.0);
  std::copy(mine.begin(), mine.end(),
            progress_.metrics.begin() + static_cast<std::ptrdiff_t>(mine.size()) * ranks_.rank());
  ranks_.sum(progress_.metrics);  // every row is zero but on one rank
  progress_.metrics_ranks = ranks_.size();
  progress_.order = order_of_data();
  progress_.epoch_seconds = seconds;
}

void Trainer::verify_weights() {
  if (config_.distributed.verify_every == 0 || steps_verified_ == progress_.steps_done) return;
  require_same_weights(session_, ranks_, fmt::format("after step {}", progress_.steps_done));
  steps_verified_ = progress_.steps_done;
}

bool Trainer::anyone_asked_to_stop() const {
  return ranks_.max(options_.stop_requested && options_.stop_requested() ? 1 : 0) != 0;
}

bool Trainer::is_finished() const {
  return progress_.epochs_done >= config_.train.epochs || out_of_patience();
}

bool Trainer::may_be_last_epoch() const {
  const std::optional<EarlyStopConfig>& early = config_.train.early_stop;
  return progress_.epochs_done + 1 >= config_.train.epochs ||
         (early && progress_.epochs_since_best + 1 >= early->patience);
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

bool Trainer::improved(const EpochRecord& record) {
  progress_.best_metric = early_stop_metric();
  double value = progress_.best_metric == "val_accuracy" ? -record.val_accuracy : record.val_loss;
  if (!std::isfinite(value)) value = std::numeric_limits<double>::max();  // NaN is worse than any number
  const bool is_best = progress_.epochs_since_best < 0 || value < progress_.best_value;
  if (is_best) progress_.best_value = value;
  progress_.epochs_since_best = is_best ? 0 : progress_.epochs_since_best + 1;
  return is_best;
}

void Trainer::keep_folder() {
  if (options_.lock) options_.lock->require_ours();
  if (!folder_.restore(config_)) return;
  if (options_.lock) options_.lock->restore();
  if (std::exchange(folder_was_gone_, true)) return;
  console_.warn(
      format_printable("{}, or what belongs into it, was deleted: it is made anew, and the run goes on; what "
                       "was there is lost",
                       folder_.path().string()));
}

void Trainer::save(const std::vector<fs::path>& paths) {
  if (!paths.empty()) verify_weights();
  agree(ranks_, [&] {
    if (ranks_.is_root()) keep_folder();
  });
  progress_.seconds = seconds_before_ + seconds_since(start_);
  if (writer_ && !paths.empty()) writer_->save(progress_, paths);
  if (board_ && progress_.images_done > 0) board_->flush();
}

void Trainer::finish_saving() {
  ranks_.activity().begin("saving the last checkpoint");
  agree(ranks_, [&] {
    std::string no_metrics;
    try {
      folder_.flush();
    } catch (const std::exception& error) {
      no_metrics = error.what();
    }
    if (board_) board_->finish();
    if (writer_) writer_->finish();
    if (!no_metrics.empty()) fail("the last metrics are missing, all else is saved: {}", no_metrics);
  });
}

template <class Record>
void Trainer::append(const Record& record) {
  if (!ranks_.is_root() || (options_.lock && !options_.lock->is_ours())) return;  // save() ends the run
  try {
    keep_folder();
    folder_.append(record);
    if (no_metrics_.over() > 0) console_.line("metrics are written again, none is lost");
  } catch (const std::exception& error) {
    if (no_metrics_.is_news(reason_of(error)))
      console_.warn(format_printable("no metrics: {}; the run goes on and tries again", reason_of(error)));
  }
}

template void Trainer::append(const StepRecord&);  // for trainer_reports.cpp

}  // namespace convoy
