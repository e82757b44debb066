// What a study compares: networks, data sets and values of keys on several engines. docs/study.md describes
// the file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/config/config.h"

namespace convoy {

/// How steps are run: an entry of `engines`, one for each combination of its lists.
struct StudyEngine {
  Device device = Device::cpu;
  int threads = 0;  ///< per rank, on the CPU; 0: not asked for
  int ranks = 1;    ///< processes; on CUDA GPUs
  Precision precision = Precision::fp32;
  int batch = 0;        ///< images of a step when its speed is measured; 0: as the network's file has it
  std::string pytorch;  ///< the mode of bench/torch_worker.py, for the same network in PyTorch; empty: Convoy

  /// "cpu, 2 threads", "cuda fp16, 2 GPUs": stands in tables and charts, and differs between engines.
  std::string name() const;
};

/// One thing that is measured and trained: a network on a data set with values of the keys that vary.
struct StudyVariant {
  std::string name;  ///< "lenet, kernel 5, mnist": what of it differs from others
  std::filesystem::path config;
  std::vector<std::string> overrides;
};

struct Study {
  std::string title;
  std::vector<StudyVariant> variants;
  std::vector<StudyEngine> engines;
  std::vector<int> seeds{1};  ///< a training for each
  bool compare = true;        ///< first losses with those of plain loops in double precision
  bool train = true;
  double seconds = 1;  ///< about how long a round measures an engine
  int rounds = 3;
  std::string text;  ///< the file's, and every variant's configuration: what results are of
};

/// Reads a study's file; paths in it count from its folder. `quick`: one round of a fifth of the time, one
/// seed, one epoch. Throws Error (exit code 2) that names file, line and key, also for a value that changes
/// nothing: two variants whose configurations are the same.
Study load_study(const std::filesystem::path& path, bool quick);

/// `name` as part of a file's name: lower case letters, digits, dots and dashes.
std::string file_name_of(const std::string& name);

}  // namespace convoy
