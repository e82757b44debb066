// Epochs: train, evaluate, record, checkpoint.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "src/config/config.h"
#include "src/train/checkpoint.h"
#include "src/train/console.h"
#include "src/train/run_folder.h"
#include "src/train/session.h"

namespace convoy {

struct TrainOptions {
  std::filesystem::path output;  ///< the run's folder
  std::string resume;  ///< empty, "auto" (newest checkpoint of the folder, if any) or a checkpoint's path
  std::chrono::steady_clock::time_point process_start;
};

/// One run from start to end. All ranks make one; rank 0 writes and speaks.
class Trainer {
 public:
  Trainer(const Config& config, const TrainOptions& options, Session& session, const RankEnvironment& ranks);
  /// Throws AgreedError when the training or validation loss stops being finite.
  SummaryRecord run();

 private:
  using Clock = std::chrono::steady_clock;

  void start_or_resume();
  /// Makes a restored progress fit this configuration, where batch size or early-stop metric have changed.
  void adapt_progress();
  /// Runs the epoch's steps and returns its training metrics and speed in `record`.
  void train_epoch(EpochRecord& record);
  /// Throws AgreedError on every rank: `loss` is a sum over all of them.
  void require_finite(double loss, const char* which, int epoch) const;
  std::string early_stop_metric() const;
  bool improved(const Metrics& validation);
  /// Early stopping has had as many epochs without improvement as it allows, in this run or before it
  /// resumed.
  bool out_of_patience() const;
  bool is_finished() const;
  /// Rank 0 alone: the epoch's metrics and, where one is due, its checkpoint, whose failure is only warned
  /// of.
  void save(const EpochRecord& record);

  /// Writes a file of the run. A full disk must not end a long run: what failed is said.
  void attempt(const char* what, const std::function<void()>& work) const;

  const Config& config_;
  const TrainOptions& options_;
  Session& session_;
  const RankEnvironment& ranks_;
  RunFolder folder_;
  Console console_;
  Progress progress_;
  double best_val_accuracy_ = 0;  ///< of all epochs, on the root also those before a resume
  double seconds_to_first_step_ = 0;
};

}  // namespace convoy
