// The state and results of runs, read from their folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace convoy {

enum class RunState {
  running,   ///< a process holds its log
  finished,  ///< with a summary
  stopped,   ///< none of the others: stopped on request, or killed
  failed,    ///< it left failure.json
};
constexpr const char* name_of(RunState state) {
  constexpr const char* names[] = {"running", "finished", "stopped", "failed"};
  return names[static_cast<int>(state)];
}

/// One run. A value is absent if the files lack it or it cannot be read.
struct RunFigures {
  std::filesystem::path folder;
  std::string name;     ///< the folder's, relative to where it was looked for
  std::string network;  ///< the configuration's name
  RunState state = RunState::stopped;
  int epochs_done = 0;
  std::optional<int> epochs;                ///< asked for
  std::optional<double> best_val_accuracy;  ///< a share, as all accuracies
  std::optional<double> val_accuracy, test_accuracy;
  std::optional<double> train_loss, val_loss;  ///< of the last epoch
  std::optional<double> images_per_second, seconds;
  std::optional<int> ranks;
  std::string engine;
  std::vector<std::string> notes;  ///< signs that training went wrong, why it failed, which file is broken
  std::filesystem::file_time_type changed;
};

/// Reads one run's folder. Never throws because of its content.
RunFigures read_run(const std::filesystem::path& folder);
/// All runs in a folder and in those inside it, the newest first; the folder itself where it is a run.
std::vector<RunFigures> list_runs(const std::filesystem::path& folder);

}  // namespace convoy
