// `convoy completion SHELL`: what lets a shell complete subcommands, options, their values and the keys of a
// configuration, made from the command line as it is.
#pragma once

#include <string>
#include <vector>

#include "src/cli/command_node.h"

namespace convoy {

/// The script for "bash", "zsh" or "fish". `keys`: of a configuration, offered where a command takes
/// OVERRIDES and has its first argument. Everything else is completed as a file's name.
std::string completion_script(const std::string& shell, const CommandNode& root,
                              const std::vector<std::string>& keys);

}  // namespace convoy
