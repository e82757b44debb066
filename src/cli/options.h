// What the files options_*.cpp share: each adds subcommands with their options. They and command_line.cpp are
// all that reads CLI11, which takes longer to compile than the commands themselves.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/cli/commands.h"

namespace convoy {

/// The command that the command line names, with what it was given.
using Action = std::function<int(const CommandContext&)>;

void add_run_commands(CLI::App& app, Action& action);  ///< train, check, eval, predict, ...
void add_models(CLI::App& app, Action& action);
void add_data(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_study(CLI::App& app, Action& action);

/// Where the options of `command` go; once it is chosen, running it is the action.
template <class Arguments>
Arguments& arguments_of(CLI::App* command, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  command->callback([&action, arguments] {
    action = [arguments](const CommandContext& context) { return run(context, *arguments); };
  });
  return *arguments;
}

constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 the run failed, 2 wrong usage or configuration, 75 stopped on request at a "
    "checkpoint (SIGUSR1, SIGTERM, SIGHUP or Ctrl-C), 128+n ended by signal n.";

// Positional arguments are named by plain words: CLI11 2.4 refuses names with "=" or "|" when the program
// starts. What the help shows is their option_text; that of an option stands for its value: "FILE", or
// "cpu|cuda" for the words that it takes, which completion offers, too.

/// key=value and ~key.
void add_overrides(CLI::App* command, std::vector<std::string>& overrides, const char* help);
/// The folder of a run, or a checkpoint.
CLI::Option* add_run(CLI::App* command, std::string& path);
/// Which of a run's checkpoints.
void add_best(CLI::App* command, bool& best);
/// CONFIG and overrides.
void add_config_arguments(CLI::App* command, ConfigArguments& arguments);
/// Words of which an option takes one.
void add_choices(CLI::Option* option, const std::vector<std::string>& words);
void add_seconds_option(CLI::App* command, double& seconds, const char* help);
void add_json_option(CLI::App* command, std::string& path);

}  // namespace convoy
