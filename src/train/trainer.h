// Epochs: train, evaluate, record, checkpoint.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "comm/agree.h"
#include "src/checkpoint/checkpoint_files.h"
#include "src/checkpoint/checkpoint_writer.h"
#include "src/config/config.h"
#include "src/report/board.h"
#include "src/report/console.h"
#include "src/report/evaluation_files.h"
#include "src/report/profile.h"
#include "src/report/symptoms.h"
#include "src/run/run_folder.h"
#include "src/run/run_lock.h"
#include "src/session/session.h"

namespace convoy {

struct TrainOptions {
  std::filesystem::path output;  ///< the run's folder
  std::string resume;  ///< empty, "auto" (newest checkpoint of the folder, if any) or a checkpoint's path
  std::chrono::steady_clock::time_point process_start;
  std::function<bool()> stop_requested = {};  ///< whether this rank has been asked to stop
  /// Called once the last step and evaluation are done: what is left, a checkpoint, is to be waited for.
  std::function<void()> let_finish = {};
  std::filesystem::path init =
      {};  ///< weights to begin with where nothing is resumed; empty: the initialisers'
  std::vector<std::string> init_except = {};  ///< layers that are initialised as in a new run nevertheless
  int profile_steps = 0;          ///< so many training steps are timed call by call (src/report/profile.h)
  const RunLock* lock = nullptr;  ///< rank 0's lock of the run's folder; null: no other process writes there
  bool resume_on_other_data = false;  ///< a resumed run may go on with other data than it was trained on
};

/// One run from start to end. Every rank has one; rank 0 writes files and messages.
class Trainer {
 public:
  Trainer(const Config& config, const TrainOptions& options, Session& session, const RankEnvironment& ranks,
          Console& console);
  /// Returns nothing if a rank was asked to stop: a checkpoint then holds the state of the run. Throws
  /// AgreedError when the training or validation loss stops being finite, the last checkpoint could not be
  /// written, or another run has taken the folder's lock.
  std::optional<SummaryRecord> run();

 private:
  using Clock = std::chrono::steady_clock;

  void start_or_resume();
  /// Adapts a restored progress to this configuration if data, batch size or the early-stop metric have
  /// changed.
  void adapt_progress();
  /// Throws AgreedError if the checkpoint's run had other data, unless the options accept that. Collective.
  void compare_data(const LoadedCheckpoint& checkpoint) const;
  /// Warns if the initial weights were trained for classes with other names.
  void compare_classes(const TensorFile& weights) const;
  /// Describes the samples of an epoch and what shuffles them.
  std::string order_of_data() const;
  /// The index of the epoch's batch that begins after `images` images; nothing if no batch begins there.
  std::optional<std::size_t> batch_after(std::int64_t images) const;
  double learning_rate_of(std::int64_t step) const;

  /// Trains and evaluates for an epoch. False when a stop came before its end; progress_ then stands within
  /// its steps or at their end. `files`: where the state belongs besides the numbered checkpoint.
  bool run_epoch(SummaryRecord& summary, std::vector<std::filesystem::path>& files);
  /// Runs the remaining steps of the epoch and returns its training metrics and speed in `record`.
  /// False when a stop came before its end.
  bool train_epoch(EpochRecord& record);
  /// One training step; where the profiler asks for it, timed call by call.
  void train_batch(std::size_t batch, const StepState& state);
  /// Prints the profile and writes `trace.json` to the run's folder. Collective.
  void report_profile();
  /// The reports of steps read so far. `next` (StepState::step) is the first queued step whose report was not
  /// read.
  struct Verdicts {
    std::int64_t next = 0, steps_done = 0;
    bool stop = false;  ///< a rank has been asked to
  };
  /// Reads the reports of the steps before `end`, which are queued, and waits for them. Throws AgreedError if
  /// a loss is not finite and train.on_nan says to stop.
  void process_reports(std::int64_t end, Verdicts& verdicts, int epoch);
  /// Tells the console, and metrics.jsonl every train.log_every seconds, how far the epoch is. Waits for the
  /// steps that are queued, `done` of the epoch's. `seconds`: of the epoch until `start`.
  void report_progress(const EpochRecord& epoch, std::size_t done, double seconds, Clock::time_point start);
  /// Warns of what looks wrong at the epoch's end.
  void look_for_symptoms(const EpochRecord& record, const Predictions& predictions);
  /// The result of the run in a sentence.
  std::string outcome(const SummaryRecord& summary) const;
  /// Writes the sums of metrics that ranks had before the run stopped to the engine.
  void restore_epoch_metrics();
  /// Stores the state within the epoch in progress_. Collective.
  void save_epoch_progress(double seconds);
  /// False when a stop came before its end. The root gets the figures of an epoch that may be the last,
  /// unless there is a test part or they take too much memory.
  bool validate(EpochRecord& record, std::optional<Evaluation>& evaluation);
  /// Whether training may end with the epoch that is to be validated.
  bool may_be_last_epoch() const;
  /// Measures the test part. False when a stop came before its end.
  bool measure_test_part(SummaryRecord& summary, std::optional<Evaluation>& evaluation);
  /// Writes the figures of the run's result to its folder. A failure gives a warning.
  void write_result(const Evaluation& evaluation, const SummaryRecord& summary);
  /// The error that ends the run on every rank if a loss is not finite.
  AgreedError not_finite(const std::string& what) const;
  /// Handles a validation loss that is not finite. Throws AgreedError if most images have no finite scores,
  /// because the last step has ruined the weights; else warns. `predictions` is empty if they were not
  /// collected. Collective.
  void explain_validation_loss(int epoch, Predictions predictions);
  /// Whether any rank has been asked to stop; collective.
  bool anyone_asked_to_stop() const;

  /// Throws AgreedError if ranks no longer hold the same weights. Does nothing if they were compared after
  /// this step. Collective.
  void verify_weights();

  std::string early_stop_metric() const;
  bool improved(const EpochRecord& record);
  /// Whether early stopping has seen as many epochs without improvement as it allows, also before the run was
  /// resumed.
  bool out_of_patience() const;
  bool is_finished() const;

  /// Makes the run's folder anew where it has been deleted, and says so once. On rank 0.
  void keep_folder();
  /// Compares weights, if there are paths, and begins to write the state to them on rank 0. Throws
  /// AgreedError where the folder has become another run's. Collective.
  void save(const std::vector<std::filesystem::path>& paths);
  /// Collective: waits for the last checkpoint. Throws AgreedError when it, or metrics, could not be written.
  void finish_saving();
  /// Writes metrics. A failure must not end a long run: it gives one warning.
  template <class Record>
  void append(const Record& record);

  const Config& config_;
  const TrainOptions& options_;
  Session& session_;
  const RankEnvironment& ranks_;
  RunFolder folder_;
  Console& console_;
  Progress progress_;
  RepeatedFailure no_metrics_;
  std::optional<CheckpointWriter> writer_;  ///< rank 0's
  std::optional<Board> board_;              ///< rank 0's, with train.tensorboard
  std::optional<Profiler> profiler_;        ///< until it has reported
  std::optional<SymptomWatch> symptoms_;    ///< rank 0's
  StopPoll training_poll_, evaluation_poll_;
  bool folder_was_gone_ = false;
  Pace pace_;                      ///< of the steps done in this process
  double validation_seconds_ = 0;  ///< of the last validation
  Clock::time_point start_;
  double seconds_before_ = 0;     ///< of the run until it was resumed
  double best_val_accuracy_ = 0;  ///< of all epochs, on the root also those before a resume
  double seconds_to_first_step_ = 0;
  std::int64_t steps_verified_ = -1;  ///< Progress::steps_done when ranks last compared their weights
};

}  // namespace convoy
