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
  std::filesystem::path init =
      {};  ///< weights to begin with where nothing is resumed; empty: the initialisers'
  std::vector<std::string> init_except = {};  ///< layers that begin with the initialisers' all the same
  int profile_steps = 0;          ///< so many training steps are timed call by call (src/report/profile.h)
  const RunLock* lock = nullptr;  ///< rank 0's, of the run's folder; null: nobody else writes there
  bool resume_on_other_data = false;  ///< what is resumed may go on with other data than it was trained on
};

/// One run from start to end. All ranks make one; rank 0 writes and speaks.
class Trainer {
 public:
  Trainer(const Config& config, const TrainOptions& options, Session& session, const RankEnvironment& ranks,
          Console& console);
  /// Nothing when a rank was asked to stop: the run then stands in a checkpoint. Throws AgreedError when the
  /// training or validation loss stops being finite, the last checkpoint could not be written, or another run
  /// has taken the folder's lock.
  std::optional<SummaryRecord> run();

 private:
  using Clock = std::chrono::steady_clock;

  void start_or_resume();
  /// Makes a restored progress fit this configuration, where data, batch size or early-stop metric have
  /// changed.
  void adapt_progress();
  /// Throws AgreedError where the checkpoint's run had other data, unless that is accepted. Collective.
  void compare_data(const LoadedCheckpoint& checkpoint) const;
  /// Warns where weights to begin with were trained for classes of other names.
  void compare_classes(const TensorFile& weights) const;
  /// Which samples an epoch has, and what shuffles them.
  std::string order_of_data() const;
  /// Which of the epoch's batches comes after `images` of its images; nothing when none begins there.
  std::optional<std::size_t> batch_after(std::int64_t images) const;
  double learning_rate_of(std::int64_t step) const;

  /// Runs the epoch's steps from where it stands and returns its training metrics and speed in `record`.
  /// False when a stop came before its end.
  bool train_epoch(EpochRecord& record);
  /// One training step; where the profiler asks for it, timed call by call.
  void train_batch(std::size_t batch, const StepState& state);
  /// Prints the profile and writes `trace.json` to the run's folder. Collective.
  void report_profile();
  /// What steps have come to: of those queued, `next` (StepState::step) is the first not looked at.
  struct Verdicts {
    std::int64_t next = 0, steps_done = 0;
    bool stop = false;  ///< a rank has been asked to
  };
  /// Looks at the steps before `end`, all queued, and waits for them. Throws AgreedError where a loss is not
  /// finite and train.on_nan says to stop.
  void judge(std::int64_t end, Verdicts& verdicts, int epoch);
  /// Tells the console, and metrics.jsonl every train.log_every seconds, how far the epoch is. Waits for the
  /// steps that are queued, `done` of the epoch's. `seconds`: of the epoch until `start`.
  void report_progress(const EpochRecord& epoch, std::size_t done, double seconds, Clock::time_point start);
  /// Warns of what looks wrong at the epoch's end.
  void look_for_symptoms(const EpochRecord& record, const Predictions& predictions);
  /// What the run has come to, for people.
  std::string outcome(const SummaryRecord& summary) const;
  /// Tells the engine what ranks have summed of the epoch before the run stopped.
  void restore_epoch_metrics();
  /// Collective: the epoch's part of progress_.
  void note_epoch(double seconds);
  void validate(EpochRecord& record);
  /// What ends the run where a loss is not finite, on every rank.
  AgreedError not_finite(const std::string& what) const;
  /// Of a loss that is not finite: throws AgreedError where the last step has spoilt the weights, so that
  /// most images have no scores; else warns. `predictions`: empty where they were not asked for. Collective.
  void explain_validation_loss(int epoch, Predictions predictions);
  /// Whether any rank has been asked to stop; collective.
  bool anyone_asked_to_stop() const;

  /// Throws AgreedError where ranks no longer hold the same weights, unless they were compared after this
  /// step. Collective.
  void verify_weights();

  std::string early_stop_metric() const;
  bool improved(const EpochRecord& record);
  /// Early stopping has had as many epochs without improvement as it allows, in this run or before it
  /// resumed.
  bool out_of_patience() const;
  bool is_finished() const;

  /// Compares weights, if there are paths, and begins to write the state to them on rank 0. Throws
  /// AgreedError where the folder has become another run's. Collective.
  void save(const std::vector<std::filesystem::path>& paths);
  /// Collective: waits for the last checkpoint. Throws AgreedError when it, or metrics, could not be written.
  void finish_saving();
  /// Writes metrics, whose failure must not end a long run: it is warned of where it begins.
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
  Pace pace_;                               ///< of the steps done in this process
  double validation_seconds_ = 0;           ///< of the last validation
  Clock::time_point start_;
  double seconds_before_ = 0;     ///< of the run until it was resumed
  double best_val_accuracy_ = 0;  ///< of all epochs, on the root also those before a resume
  double seconds_to_first_step_ = 0;
  std::int64_t steps_verified_ = -1;  ///< Progress::steps_done when ranks last compared their weights
};

}  // namespace convoy
