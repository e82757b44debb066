// What to say of words on the command line that no command or option has.
#pragma once

#include <string>
#include <vector>

#include "src/cli/command_node.h"

namespace convoy {

/// Where the words of a command line lead: the innermost command that they name.
struct CalledCommand {
  const CommandNode* node = nullptr;
  std::string path;        ///< "convoy bench step"
  std::size_t begins = 0;  ///< the first word that is not part of `path`
};
CalledCommand called_command(const CommandNode& root, const std::vector<std::string>& words);

/// The first subcommand or option in `words` (without the program's name) that does not exist, with what may
/// be meant. `keys`: of a configuration, for options that are keys: `--lr 0.1` is optimizer.lr=0.1. Empty
/// where all of them exist.
std::string unknown_word(const CommandNode& root, const std::vector<std::string>& words,
                         const std::vector<std::string>& keys);

}  // namespace convoy
