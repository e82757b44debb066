// The files of a run: resolved configuration, metrics, checkpoints.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/config/config.h"
#include "src/session/session.h"

namespace convoy {

/// One object of metrics.jsonl.
struct EpochRecord {
  int epoch = 0;  ///< from 1
  std::int64_t step = 0;
  double train_loss = 0, train_accuracy = 0, val_loss = 0, val_accuracy = 0;
  double lr = 0, images_per_second = 0, seconds = 0;
  std::optional<LossScale> loss_scale;  ///< fp16: at the epoch's end
  std::int64_t bad_images = 0;          ///< that were replaced since the run began or was resumed
};
/// How far an epoch is, `"event": "step"`; an object every train.log_every seconds.
struct StepRecord {
  int epoch = 0;          ///< from 1
  std::int64_t step = 0;  ///< of the run, from 1: the last one that is done
  /// Since the epoch began, over rank 0's images; NaN until an image was counted.
  double loss = 0, accuracy = 0;
  double images_per_second = 0;  ///< of this epoch, without the run's first step; 0: not known yet
  double seconds = 0;            ///< of the epoch
  double lr = 0;                 ///< of the step
};
/// The last record: the result of the run.
struct SummaryRecord {
  EpochRecord last;
  double best_val_accuracy = 0;
  std::optional<Metrics> test;       ///< of the last weights on the test part, where there is one
  double seconds = 0;                ///< of the whole run
  double seconds_to_first_step = 0;  ///< from process start until the first step was done
  int ranks = 1;
  std::string engine;
  std::vector<std::string> signs;  ///< that training has gone wrong, at its end (src/report/symptoms.h)
};

/// `DIR/config.yaml`, `DIR/metrics.jsonl`, `DIR/train.log`, `DIR/checkpoints/`. Only rank 0 writes.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path log() const { return path_ / "train.log"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  /// Whether a checkpoint is one of this run's.
  bool contains(const std::filesystem::path& checkpoint) const;

  /// For a new run: moves what an earlier run left out of the way and returns where it is now, empty if there
  /// was none (set_aside_earlier_run). Throws Error when the folder cannot be written.
  std::string prepare_new(const Config& config) const;
  /// For a resumed run: cuts the metrics back to the first `epochs` epochs and `steps` steps. Returns the
  /// epochs' best val_accuracy.
  double prepare_resumed(const Config& config, int epochs, std::int64_t steps) const;

  /// Of a run under way: makes what somebody has deleted anew, the folder of checkpoints or all of it.
  /// Whether there was something to make; false, too, where that fails, since the next checkpoint says why.
  bool restore(const Config& config) const;

  /// Adds to the metrics, and waits until they are on the disk. Throws Error when that fails; the line then
  /// goes with the next one, or with flush().
  void append(const StepRecord& record);
  void append(const EpochRecord& record);
  void append(const SummaryRecord& record);
  void flush();

 private:
  void create(const Config& config) const;
  void append_line(const std::string& line);
  std::filesystem::path path_;
  std::string unwritten_;  ///< lines of metrics that could not be written yet
};

}  // namespace convoy
