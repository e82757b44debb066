// The files of a run: resolved configuration, metrics, checkpoints.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/config/config.h"
#include "src/train/session.h"

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
/// The last one: what the run came to.
struct SummaryRecord {
  EpochRecord last;
  double best_val_accuracy = 0;
  double seconds = 0;                ///< of the whole run
  double seconds_to_first_step = 0;  ///< from process start until the first step was done
  int ranks = 1;
  std::string engine;
};

/// `DIR/config.yaml`, `DIR/metrics.jsonl`, `DIR/checkpoints/`. Only rank 0 writes.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  /// Whether a checkpoint is one of this run's.
  bool contains(const std::filesystem::path& checkpoint) const;

  /// For a new run: moves what an earlier run left to DIR.1 (or .2, …) and returns that name, empty if there
  /// was none. Throws Error when the folder cannot be written.
  std::string prepare_new(const Config& config) const;
  /// For a resumed run: cuts the metrics back to the first `epochs` epochs. Returns their best val_accuracy.
  double prepare_resumed(const Config& config, int epochs) const;

  /// Adds to the metrics, and waits until they are on the disk. Throws Error when that fails; the line then
  /// goes with the next one, or with flush().
  void append(const EpochRecord& record);
  void append(const SummaryRecord& record);
  void flush();

 private:
  void create(const Config& config) const;
  void append_line(const std::string& line);
  std::filesystem::path path_;
  std::string unwritten_;  ///< lines of metrics that the disk had no room for
};

}  // namespace convoy
