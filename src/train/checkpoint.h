// Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file with a
// checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/io/safetensors.h"
#include "src/train/session.h"

namespace convoy {

/// Where a run stands between two epochs.
struct Progress {
  int epochs_done = 0;
  std::int64_t steps_done = 0;
  std::string best_metric = "val_loss";
  double best_value = 0;       ///< of the early-stop metric
  int epochs_since_best = -1;  ///< -1: no epoch evaluated yet
};

/// The state after an epoch as file contents. Weights under PyTorch's names and in its order, moments as
/// "optimizer.<moment>.<name>"; progress and the resolved configuration in the metadata.
TensorFile make_checkpoint(Session& session, const Config& config, const Progress& progress);

/// Puts a checkpoint's tensors into the session and returns its progress. Throws Error naming the first
/// tensor that is missing or misshapen. Without `with_optimizer`, weights and running averages only.
Progress restore_checkpoint(Session& session, const TensorFile& file, const std::string& name,
                            bool with_optimizer);

/// `folder`/epoch-0007.safetensors
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, int epochs_done);
/// All checkpoints in the folder, newest first.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
/// Renames those of later epochs to "<name>.old", when a run goes on from before them: they would count as
/// its newest ones.
void set_aside_later_checkpoints(const std::filesystem::path& folder, int epochs_done);
/// Removes all but the newest `keep` (0: keeps all).
void remove_old_checkpoints(const std::filesystem::path& folder, int keep);

struct LoadedCheckpoint {
  std::filesystem::path path;
  TensorFile file;
};
/// Rank 0 reads and verifies, the others get the bytes from it; collective. `path` is a checkpoint, a run's
/// folder or its checkpoints' folder: of a folder the newest that verifies, with a warning for each that does
/// not. Nothing when a folder has no checkpoint. Throws AgreedError when there are some but none verifies, or
/// a named file does not.
std::optional<LoadedCheckpoint> load_checkpoint(const std::filesystem::path& path,
                                                const RankEnvironment& ranks);

/// The resolved configuration of the run that wrote it, as YAML.
const std::string& stored_config(const LoadedCheckpoint& checkpoint);

/// `logits` (images,classes) f32 and `labels` (images) i32 as file contents; `checkpoint` names their origin
/// in the metadata.
TensorFile predictions_file(const Predictions& predictions, const std::string& checkpoint);

}  // namespace convoy
