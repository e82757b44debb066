// `convoy completion SHELL`: what lets a shell complete subcommands, options, their values and the keys of a
// configuration, made from the command line as it is.
#pragma once

#include <string>
#include <vector>

namespace convoy {

/// A command with what it takes.
struct CommandNode {
  struct Option {
    std::vector<std::string> names;  ///< "--output"
    std::string help;
    bool takes_value = false;
    std::vector<std::string> choices;  ///< the values it takes, where they are few
  };
  struct Positional {
    std::string name;  ///< "CONFIG", "OVERRIDES"
    std::vector<std::string> choices;
  };
  std::string name, help;
  std::vector<Option> options;
  std::vector<Positional> positionals;
  std::vector<CommandNode> commands;
};

/// The script for "bash", "zsh" or "fish". `keys`: of a configuration, offered where a command takes
/// OVERRIDES and has its first argument. Everything else is completed as a file's name.
std::string completion_script(const std::string& shell, const CommandNode& root,
                              const std::vector<std::string>& keys);

}  // namespace convoy
