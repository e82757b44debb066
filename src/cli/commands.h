// The subcommands: what each takes and does. command_line.cpp fills in what they take.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "comm/watchdog.h"
#include "src/cli/completion.h"
#include "src/config/config.h"

namespace convoy {

/// What every subcommand gets from main.
struct CommandContext {
  const RankEnvironment& ranks;
  Watchdog& watchdog;
  std::chrono::steady_clock::time_point process_start;
};

/// Runs the subcommand that the arguments name. Returns the exit code.
int run_command_line(int argc, char** argv, const CommandContext& context);

/// The positional arguments of commands that start from a configuration.
struct ConfigArguments {
  std::string path;
  std::vector<std::string> overrides;
};
/// load_config, agreed on by all ranks and the same on each, which from now on watch each other by its
/// limits.
Config load_agreed(const ConfigArguments& arguments, const CommandContext& context);
/// From now on ranks watch each other by these limits.
void watch(const CommandContext& context, const DistributedConfig& limits);

struct TrainArguments {
  ConfigArguments config;
  std::string output, resume, init;
  bool resume_on_other_data = false, profile = false;
  int profile_steps = 5;
  std::vector<std::string> init_except;
};
struct ExportArguments {
  std::string path, format, output;  ///< format: safetensors or onnx; empty: by the ending of output
  bool best = false, raw_input = false, verify = false;
  std::vector<std::string> overrides;  ///< of the data to verify with
};
struct PredictArguments {
  std::string path, device = "auto", tta = "none";
  std::vector<std::string> images;  ///< files, folders, "-" for names on standard input
  int top = 5;
  bool json = false, csv = false, best = false;
};
struct EvalArguments {
  std::string path, logits, json, csv, part = "validation", tta = "none";
  bool best = false;
  std::vector<std::string> overrides;
};
struct LrFindArguments {
  ConfigArguments config;
  std::string output;
  double lowest = 1e-7, highest = 10;  ///< learning rates
  int steps = 100;
};
struct PlanArguments {
  ConfigArguments config;
  std::string gpu;  ///< an architecture (known_gpus), or empty: the engine that the configuration asks for
};
struct CheckArguments {
  ConfigArguments config;
  std::string output;
  bool all_images = false;
};
struct KeysArguments {
  std::string section;  ///< empty: all of it
  bool markdown = false;
};
struct ModelsArguments {
  bool markdown = false;
};
struct ModelsShowArguments {
  std::string name;
};
struct ModelsFetchArguments {
  std::string name, output, mirror;
  double timeout = 30;
};
struct BenchStepArguments {
  ConfigArguments config;
  std::string json;
  double seconds = 5;
};
struct BenchOpsArguments {
  ConfigArguments config;
  bool all = false;
  std::string rival, json;
};
struct BenchAllReduceArguments {
  Device device = Device::automatic;
  std::int64_t largest = std::int64_t{256} << 20;
  std::string json;
};
struct BenchScalingArguments {
  ConfigArguments config;
  std::string json;
  double seconds = 3;
};
struct BenchDataArguments {
  ConfigArguments config;
  std::string json;
  double seconds = 5;
  int threads = 0;
};
struct DataPackArguments {
  std::string folder, output;
  int size = 256, max_bad = 0;
};
struct BenchLossesArguments {
  ConfigArguments config;
  int steps = 200;
  std::string output;
};

struct DataFetchArguments {
  std::string name, output, mirror, sums;
  double timeout = 30;
};
struct DataInfoArguments {
  ConfigArguments config;
  std::string sheet;
  int columns = 12;
  bool verify = false;
};
struct RunsArguments {
  std::string folder = "runs";
  bool csv = false, json = false;
};
struct StudyArguments {
  std::string path, output;
  bool quick = false;
};
struct ReportArguments {
  std::vector<std::string> runs;
  std::string output = "report";
};
struct CompletionArguments {
  std::string shell;                        ///< "bash", "zsh" or "fish"
  std::function<CommandNode()> describe{};  ///< the whole command line, once it is all there
};

// Each returns the exit code.
int run(const CommandContext& context, const TrainArguments& arguments);
int run(const CommandContext& context, const LrFindArguments& arguments);
int run(const CommandContext& context, const EvalArguments& arguments);
int run(const CommandContext& context, const ExportArguments& arguments);
int run(const CommandContext& context, const PredictArguments& arguments);
int run(const CommandContext& context, const PlanArguments& arguments);
int run(const CommandContext& context, const CheckArguments& arguments);
int run(const CommandContext& context, const KeysArguments& arguments);
int run(const CommandContext& context, const ModelsArguments& arguments);
int run(const CommandContext& context, const ModelsShowArguments& arguments);
int run(const CommandContext& context, const ModelsFetchArguments& arguments);
int run(const CommandContext& context, const BenchStepArguments& arguments);
int run(const CommandContext& context, const BenchOpsArguments& arguments);
int run(const CommandContext& context, const BenchAllReduceArguments& arguments);
int run(const CommandContext& context, const BenchScalingArguments& arguments);
int run(const CommandContext& context, const BenchLossesArguments& arguments);
int run(const CommandContext& context, const BenchDataArguments& arguments);
int run(const CommandContext& context, const DataPackArguments& arguments);
int run(const CommandContext& context, const DataFetchArguments& arguments);
int run(const CommandContext& context, const DataInfoArguments& arguments);
int run(const CommandContext& context, const RunsArguments& arguments);
int run(const CommandContext& context, const StudyArguments& arguments);
int run(const CommandContext& context, const ReportArguments& arguments);
int run(const CommandContext& context, const CompletionArguments& arguments);

}  // namespace convoy
