// Whole runs of the small network, and what they leave.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "src/train/trainer.h"
#include "tests/train/support.h"

namespace convoy::testing {

/// The run's folder inside a temporary one, so that `run.1` beside it is removed with it.
class RunFiles {
 public:
  std::filesystem::path run() const { return folder_.path() / "run"; }
  std::filesystem::path checkpoints() const { return run() / "checkpoints"; }
  std::filesystem::path beside(const std::string& name) const { return folder_.path() / name; }

 private:
  TemporaryFolder folder_;
};

/// checkpoint_path() after an epoch.
inline std::filesystem::path after_epoch(const std::filesystem::path& checkpoints, int epoch) {
  Progress progress;
  progress.epochs_done = epoch;
  return checkpoint_path(checkpoints, progress);
}

struct RunResult {
  std::vector<double> weights;
  bool finished = false;
};
/// Trains 37 images into `folder`.
inline RunResult train_run(const Config& config, const std::filesystem::path& folder,
                           const std::string& resume, EngineKind kind, const RankEnvironment& ranks,
                           std::function<bool()> stop_requested = {}) {
  Session session(config, tiny_data(37, 5), make_engine(kind, ranks), ranks);
  const TrainOptions options{folder, resume, std::chrono::steady_clock::now(), std::move(stop_requested)};
  Console console(ranks, config.train.log_every);
  const bool finished = Trainer(config, options, session, ranks, console).run().has_value();
  return {weights_of(session), finished};
}

/// The epochs and the summary of metrics.jsonl without what a clock said, which also decides on the steps in
/// between; none before the first.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run) {
  std::vector<nlohmann::json> records;
  if (!std::filesystem::exists(run / "metrics.jsonl")) return records;
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json record = nlohmann::json::parse(line);
    if (record.value("event", "") == "step") continue;
    // A run that was resumed within an epoch has not seen all of its signs.
    for (const char* key : {"seconds", "images_per_second", "seconds_to_first_step", "signs"})
      record.erase(key);
    records.push_back(std::move(record));
  }
  return records;
}

/// Removes all checkpoints but those up to `last`, as if the run had been killed right after it.
inline void kill_after(const std::filesystem::path& checkpoints, const std::filesystem::path& last) {
  for (const std::filesystem::path& path : list_checkpoints(checkpoints)) {
    if (path.filename() == last.filename()) return;
    std::filesystem::remove(path);
  }
}

}  // namespace convoy::testing
