// Checkpoints written beside training, by a thread, from a copy of the state.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "src/checkpoint/checkpoint.h"

namespace convoy {

/// Training stands still for the copy alone. One file at most is under way: save() waits for the one before,
/// rather than to leave one out, so that the files a run leaves do not depend on the disk's speed; that
/// training waited is said once. A file that cannot be written (a full disk) is warned of, once for each
/// reason, and the run goes on: the next save() tries again.
class CheckpointWriter {
 public:
  /// Of all files, `keep` numbered ones stay in `folder` (0: all). `config` is the resolved configuration.
  CheckpointWriter(Session& session, std::filesystem::path folder, int keep, std::string config);
  /// Waits for the file under way; failures are only logged.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Writes the state after the steps queued so far to each of `paths`.
  void save(const Progress& progress, std::vector<std::filesystem::path> paths);
  /// Waits for the file under way. Throws Error when the last one could not be written.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace convoy
