// A process of the program that this one starts, watches and ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace convoy {

struct ChildCommand {
  std::vector<std::string> words;      ///< the program and its arguments
  std::vector<std::string> variables;  ///< "NAME=value", besides those of this process
};

/// Runs a command to its end, with what it prints in the file `log`. Once `stop` says so it is asked to end
/// (SIGTERM), and killed if it is there ten seconds later. Returns its exit code, 128 + n where signal n
/// ended it. Throws Error when it cannot be started.
int run_child(const ChildCommand& command, const std::filesystem::path& log,
              const std::function<bool()>& stop);

}  // namespace convoy
