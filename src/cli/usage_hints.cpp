#include "src/cli/usage_hints.h"

#include <algorithm>

#include "src/config/hints.h"
#include "src/config/value.h"

namespace convoy {
namespace {

std::vector<std::string> option_names(const CommandNode& node) {
  std::vector<std::string> names;
  for (const CommandNode::Option& option : node.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

bool takes_overrides(const CommandNode& node) {
  return std::any_of(
      node.positionals.begin(), node.positionals.end(),
      [](const CommandNode::Positional& positional) { return positional.name == "OVERRIDES"; });
}

/// "--batch-size" as a key would be written: "batch_size".
std::string as_key(std::string name) {
  name.erase(0, name.find_first_not_of('-'));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

CalledCommand called_command(const CommandNode& root, const std::vector<std::string>& words) {
  CalledCommand called{&root, root.name, 0};
  for (; called.begins < words.size(); ++called.begins) {
    const std::vector<CommandNode>& commands = called.node->commands;
    const auto named = std::find_if(commands.begin(), commands.end(), [&](const CommandNode& command) {
      return command.name == words[called.begins];
    });
    if (named == commands.end()) break;
    called.node = &*named;
    called.path += " " + named->name;
  }
  return called;
}

std::string unknown_word(const CommandNode& root, const std::vector<std::string>& words,
                         const std::vector<std::string>& keys) {
  const CalledCommand called = called_command(root, words);
  if (called.begins < words.size() && !called.node->commands.empty() &&
      !words[called.begins].starts_with('-')) {
    std::vector<std::string> names;
    for (const CommandNode& command : called.node->commands) names.push_back(command.name);
    if (called.node == &root && words[0].ends_with(".yaml"))
      return fmt::format("{0}: a command is missing (did you mean `{0} train {1}`?)", root.name, words[0]);
    return fmt::format("{}: unknown subcommand {}{}", called.path, quote(words[called.begins], 60),
                       did_you_mean(words[called.begins], names));
  }
  const std::vector<std::string> names = option_names(*called.node);
  for (std::size_t i = called.begins; i < words.size() && words[i] != "--"; ++i) {
    if (words[i].size() < 2 || words[i][0] != '-') continue;
    const std::size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const bool is_long = name.starts_with("--");
    const bool known = std::any_of(names.begin(), names.end(), [&](const std::string& one) {
      return is_long ? one == name : name.starts_with(one);
    });
    if (known) continue;
    const std::string beginning = fmt::format("{}: unknown option {}", called.path, quote(name, 60));
    const std::string key = takes_overrides(*called.node) ? key_for(as_key(name), keys) : "";
    if (key.empty()) return beginning + did_you_mean(name, names);
    std::string value = "VALUE";
    if (equals != std::string::npos)
      value = words[i].substr(equals + 1);
    else if (i + 1 < words.size() && !words[i + 1].starts_with('-') &&
             words[i + 1].find('=') == std::string::npos)
      value = words[i + 1];
    return fmt::format("{}; keys are set as key=value (did you mean {}={}?)", beginning, key, value);
  }
  return "";
}

}  // namespace convoy
