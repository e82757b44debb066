// Messages of the trainer: progress, warnings and the result of a run.
#include <algorithm>

#include "core/reason.h"
#include "src/checkpoint/data_record.h"
#include "src/data/class_names.h"
#include "src/report/pictures.h"
#include "src/train/schedule.h"
#include "src/train/trainer.h"

namespace convoy {

std::string Trainer::outcome(const SummaryRecord& summary) const {
  const std::vector<std::string>& signs = summary.signs;
  const bool knows_nothing = std::any_of(signs.begin(), signs.end(), [](const std::string& name) {
    return name == "chance" || name == "one_class";
  });
  const std::string where = fmt::format("run written to {}", folder_.path().string());
  std::string accuracy =
      fmt::format("{} accuracy {:.2f} %", session_.validation_name(), 100 * summary.last.val_accuracy);
  if (summary.test) accuracy += fmt::format(", test accuracy {:.2f} %", 100 * summary.test->accuracy());
  if (knows_nothing)
    return fmt::format("the network has learned nothing ({}; {}): see the warnings above for what to try; {}",
                       accuracy, fmt::join(signs, ", "), where);
  return fmt::format("{}, {:.0f} images/s in the last epoch, {:.1f} s in all; {}{}", accuracy,
                     summary.last.images_per_second, summary.seconds, where,
                     signs.empty() ? ""
                                   : fmt::format("; something is wrong ({}): see the warnings above",
                                                 fmt::join(signs, ", ")));
}

void Trainer::compare_data(const LoadedCheckpoint& checkpoint) const {
  const std::string name = checkpoint.path.string();
  agree(ranks_, [&] {
    const std::optional<DataIdentity> here = session_.data_identity();
    if (!here) return;  // rank 0 looks for all
    const std::string other = other_data(checkpoint.file, name, *here);
    if (other.empty() && !data_in(checkpoint.file, name))
      console_.line(format_printable(
          "{}: written by an older version, which does not say what data it was trained on: not compared{}",
          name,
          config_.data.validation_fraction > 0 ? "; that version set other images apart for validation"
                                               : ""));
    if (other.empty()) return;
    if (!options_.resume_on_other_data)
      fail(
          "{}: its run was trained on other data: {}. Give the run its data again (data.path, "
          "data.validation, seed), begin a new run (--init {} keeps the weights), or go on with this data by "
          "--resume-on-other-data",
          name, other, name);
    console_.warn(format_printable("going on with other data than {} was trained on: {}", name, other));
  });
}

void Trainer::compare_classes(const TensorFile& weights) const {
  const std::string name = options_.init.string();
  const std::string other =
      class_difference(class_names_in(weights, name), as_recorded(session_.class_names()));
  if (other.empty()) return;
  console_.warn(format_printable(
      "{}: trained for other classes: {}; --init-except LAYER initialises the last layer again", name,
      other));
}

void Trainer::report_progress(const EpochRecord& epoch, std::size_t done, double seconds,
                              Clock::time_point start) {
  const Metrics local = session_.read_local_training_metrics();  // this rank's share is enough for the eye
  const Clock::time_point now = Clock::now();
  const double images = static_cast<double>(progress_.images_done);
  pace_.add(images, now);
  const Range& last = session_.plans().training_batches.back();
  const double of_epoch = last.first + last.count;
  StepProgress progress;
  progress.record.epoch = epoch.epoch;
  progress.record.step = progress_.steps_done;
  progress.record.loss = local.loss();
  progress.record.accuracy = local.accuracy();
  progress.record.seconds = seconds + std::chrono::duration<double>(now - start).count();
  progress.record.lr = static_cast<float>(learning_rate_of(progress_.steps_done - 1));
  progress.epochs = config_.train.epochs;
  progress.step = static_cast<std::int64_t>(done);
  progress.steps = session_.steps_per_epoch();
  if (const std::optional<double> rate = pace_.images_per_second()) {
    const int epochs_after = config_.train.epochs - epoch.epoch;
    progress.record.images_per_second = *rate;
    progress.seconds_left =
        (of_epoch - images + epochs_after * of_epoch) / *rate + (1 + epochs_after) * validation_seconds_;
  }
  if (console_.progress(progress)) append(progress.record);
}

void Trainer::report_profile() {
  std::string text = profiler_->table();
  if (!session_.engine().identity().uuid.empty())
    text += "  queued and timed one by one; the calls of other steps are one graph, which takes less time\n";
  const std::filesystem::path path = folder_.path() / "trace.json";
  try {
    profiler_->write_trace(path, ranks_);
    text += fmt::format("  {}: the same for chrome://tracing and https://ui.perfetto.dev", path.string());
  } catch (const Error& error) {
    text += fmt::format("  no trace: {}", error.what());
  }
  console_.line(text);
  profiler_.reset();
}

void Trainer::look_for_symptoms(const EpochRecord& record, const Predictions& predictions) {
  if (!symptoms_) return;
  for (const Symptom& symptom : symptoms_->at_epoch_end(record, predictions)) console_.warn(symptom.text);
}

void Trainer::write_result(const Evaluation& evaluation, const SummaryRecord& summary) {
  if (options_.lock && !options_.lock->is_ours()) return;
  EvaluationSource source{session_.validation_name(), fmt::format("after epoch {}", summary.last.epoch),
                          summary.last.val_loss};
  if (summary.test) source.part = "test", source.loss = summary.test->loss();
  try {
    keep_folder();
    write_evaluation(folder_.path(), evaluation, source, session_.class_names());
  } catch (const std::exception& error) {
    console_.warn(format_printable(
        "no evaluation of the run: {}; `convoy eval {} --json FILE` makes one when it has ended",
        reason_of(error), folder_.path().string()));
  }
}

AgreedError Trainer::not_finite(const std::string& what) const {
  return AgreedError(
      format_printable("{}: lower optimizer.lr or check the data; the last epoch with finite losses is {}",
                       what, progress_.epochs_done));
}

void Trainer::explain_validation_loss(int epoch, Predictions predictions) {
  if (predictions.labels.empty()) session_.evaluate(&predictions);
  const std::int64_t images = std::ssize(predictions.labels), overflows = count_overflows(predictions);
  const std::string what = fmt::format(
      "the scores of {} of {} validation images are not finite after epoch {}", overflows, images, epoch);
  if (overflows == 0 || 2 * overflows > images) throw not_finite(what);
  console_.warn(format_printable(
      "{}: with the running averages of batchnorm they leave the range of {}, as may be early in "
      "training; the run goes on",
      what, name_of(config_.train.precision)));
}

}  // namespace convoy
