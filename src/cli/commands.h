// The subcommands. Each registers its arguments and, once chosen, its action.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "comm/rank_environment.h"
#include "src/config/config.h"

namespace convoy {

/// What every subcommand gets from main.
struct CommandContext {
  const RankEnvironment& ranks;
  std::chrono::steady_clock::time_point process_start;
  std::function<int()> action;  ///< set by the chosen subcommand; returns the exit code
};

void add_train(CLI::App& app, CommandContext& context);
void add_eval(CLI::App& app, CommandContext& context);
void add_plan(CLI::App& app, CommandContext& context);
void add_check(CLI::App& app, CommandContext& context);
void add_bench(CLI::App& app, CommandContext& context);

/// The positional arguments of commands that start from a configuration.
struct ConfigArguments {
  std::string path;
  std::vector<std::string> overrides;
};
void add_config_arguments(CLI::App& command, ConfigArguments& arguments);
/// load_config, agreed on by all ranks.
Config load_agreed(const ConfigArguments& arguments, const RankEnvironment& ranks);

}  // namespace convoy
