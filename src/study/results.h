// What a study has found, read from its folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/run/run_list.h"
#include "src/study/cells.h"

namespace convoy {

/// The losses of the first steps beside those of plain loops in double precision.
struct GateResult {
  std::size_t variant = 0, engine = 0;
  double difference = 0;  ///< the largest, as a share of the loss; NaN where one is no number
  double limit = 0;
  bool passed() const { return difference <= limit; }
};

/// Rounds of whole steps.
struct SpeedResult {
  std::size_t variant = 0, engine = 0;
  std::vector<double> images_per_second;  ///< a value per round, rising
  double flops_per_image = 0;
  double bytes = 0;  ///< of memory, of all arenas of a rank
  double median() const;
};

/// A kind of call in a step.
struct StudyCall {
  std::string node, call, shape;
  double seconds = 0, flops = 0, bytes = 0;  ///< of all such calls of a step
};
struct CallsResult {
  std::size_t variant = 0, engine = 0;
  double images = 0;                                  ///< of a step
  double flops_per_second = 0, bytes_per_second = 0;  ///< what the device reached when asked for nothing else
  std::vector<StudyCall> calls;
};

struct EpochResult {
  int epoch = 0;
  double train_loss = 0, val_loss = 0, val_accuracy = 0;
  double seconds = 0;  ///< of this epoch and those before it
};
struct RunResult {
  std::size_t variant = 0, engine = 0;
  int seed = 0;
  RunFigures figures;
  std::vector<EpochResult> epochs;
  std::vector<std::string> classes;
  std::vector<std::vector<double>> confusion;  ///< images by label and answer; empty: unknown
};

struct StudyResults {
  std::vector<std::pair<std::string, std::string>> machine;  ///< what it was run on: ("CPU", "...")
  std::vector<std::string> left_out;  ///< engines that this machine cannot run, each with the reason
  std::vector<std::string> failures;  ///< cells, each with the reason
  std::vector<GateResult> gates;
  std::vector<SpeedResult> speeds;
  std::vector<CallsResult> calls;
  std::vector<RunResult> runs;

  const SpeedResult* speed(std::size_t variant, std::size_t engine) const;
};

// Each reads the result of a cell that is done. Throws Error where its file is not what the program writes.
GateResult read_gate(const StudyCell& cell, const StudyCell& truth, const StudyEngine& engine);
void add_speed(std::vector<SpeedResult>& speeds, const StudyCell& cell);
CallsResult read_calls(const StudyCell& cell);
RunResult read_run_result(const StudyCell& cell);

}  // namespace convoy
