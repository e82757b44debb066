// Where a run stands, as a checkpoint's metadata says it: every number has a range, checked where it is read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/io/safetensors.h"

namespace convoy {

/// The tensor of Progress::metrics.
inline constexpr const char* progress_metrics_name = "progress.train_metrics";
/// More than any run comes to; sums and products of such numbers stay far from overflow.
inline constexpr std::int64_t most_steps = std::int64_t{1} << 52;

/// Where a run stands.
struct Progress {
  int epochs_done = 0;
  std::int64_t steps_done = 0;
  std::string best_metric = "val_loss";
  double best_value = 0;       ///< of the early-stop metric; smaller is better
  int epochs_since_best = -1;  ///< -1: no epoch evaluated yet
  double seconds = 0;          ///< that the run has taken

  // Of the epoch under way, nothing between two epochs.
  std::int64_t images_done = 0;  ///< how far its order is through
  std::string order;             ///< what that order is of, for people and to compare: "60000 images, seed 1"
  double epoch_seconds = 0;      ///< that it has trained
  int metrics_ranks = 0;
  std::vector<double> metrics;  ///< (metrics_ranks, Layout::train_metrics): sums so far, of each rank
};

/// The metadata that says it; `config` is the run's resolved configuration, as YAML.
std::map<std::string, std::string> to_metadata(const Progress& progress, const std::string& config);

/// Throws Error when the file is no checkpoint of a known format, or carries no checksum.
void require_checkpoint(const TensorFile& file, const std::string& name);
/// Throws Error that names the file and what is missing or out of its range.
Progress progress_in(const TensorFile& file, const std::string& name);
/// The resolved configuration of the run that wrote it, as YAML.
const std::string& config_in(const TensorFile& file, const std::string& name);
/// Whether the file is a checkpoint of a format that does not say in which order the columns of a linear
/// layer stand that has activations or dropouts between it and a flatten.
bool leaves_order_open(const TensorFile& file);

}  // namespace convoy
