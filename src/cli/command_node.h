// The command line as data: what help, hints and completion are made from.
#pragma once

#include <string>
#include <vector>

namespace convoy {

/// A command with what it takes.
struct CommandNode {
  struct Option {
    std::vector<std::string> names;  ///< "--output"
    std::string value;               ///< what stands for its value in the help, "FILE"; empty: a flag
    std::string help;
    bool takes_value = false;
    std::vector<std::string> choices;  ///< the values it takes, where they are few
  };
  struct Positional {
    std::string name;  ///< "CONFIG", "OVERRIDES"
    std::string text;  ///< how the help writes it, "key=value ..."
    std::string help;
    bool required = false;
    std::vector<std::string> choices;
  };
  std::string name, help;
  std::string group;   ///< the heading of the list that it stands in
  std::string footer;  ///< paragraphs below its help; lines that begin with a space are kept as they are
  std::vector<Option> options;
  std::vector<Positional> positionals;
  std::vector<CommandNode> commands;
};

}  // namespace convoy
