// The files in a run's checkpoints folder: what they are called, which is the newest, which are too many.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/checkpoint/checkpoint.h"

namespace convoy {

/// `folder`/epoch-0007.safetensors after epoch 7, `folder`/epoch-0008-step-00000390.safetensors within epoch
/// 8, when 390 steps of the run were done.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, const Progress& progress);
/// `folder`/best.safetensors, of the epoch with the best validation.
std::filesystem::path best_checkpoint_path(const std::filesystem::path& folder);

/// The checkpoints' folder of a run's folder; any other is one itself.
std::filesystem::path checkpoints_in(const std::filesystem::path& folder);
/// All checkpoints in the folder but the best one, newest first.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
/// Removes all but the newest `keep` (0: keeps all) of those that list_checkpoints() names.
void remove_old_checkpoints(const std::filesystem::path& folder, int keep);
/// For a run that goes on from `progress`: later checkpoints, the best one included, become "<name>.old",
/// since they would count as its newest ones; what a kill left half-written is removed.
void tidy_checkpoints(const std::filesystem::path& folder, const Progress& progress);

/// What a path that a person gave means to load_checkpoint(): of a run, where `best` says so, the best one.
std::filesystem::path chosen_checkpoint(const std::filesystem::path& path, bool best);

struct LoadedCheckpoint {
  std::filesystem::path path;
  TensorFile file;
};
/// Rank 0 reads and verifies, the others get the bytes from it; collective. `path` is a checkpoint, a run's
/// folder or its checkpoints' folder: of a folder the newest that verifies (the best one, if no other does),
/// with a warning for each that does not. Nothing when a folder has no checkpoint. Throws AgreedError when
/// there are some but none verifies, or a named file does not.
/// Without `with_optimizer`, its moments are left out.
std::optional<LoadedCheckpoint> load_checkpoint(const std::filesystem::path& path,
                                                const RankEnvironment& ranks, bool with_optimizer = true);

/// What to say of a path where load_checkpoint() finds none.
std::string no_checkpoint_at(const std::filesystem::path& path);

/// Rank 0's bytes on every rank; collective.
SharedBytes broadcast_bytes(const SharedBytes& bytes, const RankEnvironment& ranks);

}  // namespace convoy
