// What `--help` prints, in lines that fit the terminal.
#pragma once

#include <string>

#include "src/cli/command_node.h"

namespace convoy {

/// The help of `command`, which is called as `path`: "convoy bench step". `width`: characters in a line.
std::string help_text(const CommandNode& command, const std::string& path, std::size_t width);

/// "convoy train CONFIG [key=value ...] [options]"
std::string usage_of(const CommandNode& command, const std::string& path);

}  // namespace convoy
