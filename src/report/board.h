// What TensorBoard shows of a run: scalars, histograms and pictures in `tensorboard/` of the run's folder.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "core/repeated_failure.h"
#include "src/io/tensorboard.h"
#include "src/run/run_folder.h"
#include "src/session/session.h"

namespace convoy {

/// Rank 0 has one. The run's own thread only copies values; another thread makes histograms, pictures and
/// files during the following steps. If a file cannot be written, one warning is given and the run goes on;
/// the next write tries again.
class Board {
 public:
  /// `steps_done` steps of the run are done; events of later steps that an earlier process wrote are removed.
  /// Allocates a copy of the parameters and one of the gradients, page-locked if the engine has such memory.
  Board(const std::filesystem::path& run, const std::string& host, std::int64_t steps_done, Session& session);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  /// The loss of step `step` (from 1) over the global batch and its learning rate: `loss/step`,
  /// `learning_rate`.
  void step(std::int64_t step, double loss, double learning_rate);
  /// An epoch's end. `loss/train`, `loss/val`, `accuracy/…`, `speed/images_per_second`, with fp16
  /// `loss_scale/…`; of the epoch's last step `gradients/norm` (before clipping), `gradients/NAME` as the
  /// optimizer takes them (summed over ranks, clipped, without a loss scale); `weights/NAME`; the first
  /// layer's filters; where there are predictions, the confusion matrix and the worst mistakes. Not
  /// collective.
  void epoch(const EpochRecord& record, Predictions predictions);
  /// Begins to write the events gathered so far.
  void flush();
  /// Waits until all is written.
  void finish();

 private:
  struct StepPoint {
    std::int64_t step = 0;
    double loss = 0, learning_rate = 0;
  };
  /// Adds events and writes them, in the other thread.
  void write(std::function<void()> add);
  /// Waits for the thread. Warns when it begins to fail, and says when it works again.
  void settle();

  Session& session_;
  std::uint8_t *weights_, *gradients_;  ///< copies of the blocks; the thread's while it runs, as is
  EventWriter events_;
  std::vector<StepPoint> steps_;
  std::future<void> writing_;
  RepeatedFailure unwritten_;
};

/// Whether an epoch's validation should collect predictions for Board::epoch; the same on every rank. False
/// if they would be more than a few million numbers.
bool wants_predictions(const Config& config, const Session& session);

}  // namespace convoy
