#include "src/cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/cli/commands.h"

namespace convoy {
namespace {

/// A command and how it is called: "" for the program itself, "bench step".
using Place = std::pair<std::string, const CommandNode*>;

void collect(const std::string& path, const CommandNode& node, std::vector<Place>& places) {
  places.emplace_back(path, &node);
  for (const CommandNode& command : node.commands)
    collect(path.empty() ? command.name : path + " " + command.name, command, places);
}

std::vector<Place> places_in(const CommandNode& root) {
  std::vector<Place> places;
  collect("", root, places);
  return places;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> names_of(const std::vector<CommandNode>& commands) {
  std::vector<std::string> names;
  for (const CommandNode& command : commands) names.push_back(command.name);
  return names;
}

std::vector<std::string> names_of(const std::vector<CommandNode::Option>& options) {
  std::vector<std::string> names;
  for (const CommandNode::Option& option : options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

bool takes_keys(const CommandNode& node) {
  return std::any_of(
      node.positionals.begin(), node.positionals.end(),
      [](const CommandNode::Positional& positional) { return positional.name == "OVERRIDES"; });
}

std::vector<std::string> choices_of(const CommandNode& node) {
  std::vector<std::string> choices;
  for (const CommandNode::Positional& positional : node.positionals)
    choices.insert(choices.end(), positional.choices.begin(), positional.choices.end());
  return choices;
}

/// What bash and zsh share: which command the words so far name, and what can follow it.
std::string find_path(const std::vector<Place>& places) {
  std::vector<std::string> patterns;
  for (const auto& [path, node] : places)
    if (!path.empty()) patterns.push_back(quoted(path));
  return fmt::format(
      R"(  local place="" positionals=0 word commands="" options="" choices="" keys=""
  for word in "${{before[@]}}"; do
    case "${{place:+$place }}$word" in
      {}) place="${{place:+$place }}$word" ;;
      *) [[ $word == -* ]] || positionals=$((positionals + 1)) ;;
    esac
  done
)",
      fmt::join(patterns, "|"));
}

std::string list_what_follows(const std::vector<Place>& places, const std::vector<std::string>& keys) {
  std::string out = "  case $place in\n";
  for (const auto& [path, node] : places) {
    out += fmt::format("    {}) options={}", quoted(path),
                       quoted(fmt::format("{}", fmt::join(names_of(node->options), " "))));
    if (!node->commands.empty())
      out += " commands=" + quoted(fmt::format("{}", fmt::join(names_of(node->commands), " ")));
    if (const std::vector<std::string> choices = choices_of(*node); !choices.empty())
      out += " choices=" + quoted(fmt::format("{}", fmt::join(choices, " ")));
    if (takes_keys(*node)) out += " keys=yes";
    out += " ;;\n";
  }
  out += "  esac\n  case \"${place:+$place }$previous\" in\n";
  for (const auto& [path, node] : places) {
    for (const CommandNode::Option& option : node->options) {
      if (!option.takes_value) continue;
      for (const std::string& name : option.names) {
        out +=
            fmt::format("    {}) value=yes values={} ;;\n", quoted(path.empty() ? name : path + " " + name),
                        quoted(fmt::format("{}", fmt::join(option.choices, " "))));
      }
    }
  }
  out += "  esac\n";
  return out +
         fmt::format("  if [[ $keys == yes && $positionals -gt 0 ]]; then keys={}; else keys=\"\"; fi\n",
                     quoted(fmt::format("{}", fmt::join(keys, " "))));
}

std::string bash_script(const std::vector<Place>& places, const std::vector<std::string>& keys) {
  return fmt::format(R"(# source <(convoy completion bash)
_convoy() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} value="" values=""
  local before=("${{COMP_WORDS[@]:1:COMP_CWORD - 1}}")
{}{}  local offered="$commands $choices"
  if [[ $value == yes ]]; then offered=$values; elif [[ $current == -* ]]; then offered=$options; fi
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
  if [[ $value != yes && $current != -* && -n $keys ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$keys" -S = -- "$current")
    compopt -o nospace 2>/dev/null
  fi
}}
complete -o bashdefault -o default -F _convoy convoy
)",
                     find_path(places), list_what_follows(places, keys));
}

std::string zsh_script(const std::vector<Place>& places, const std::vector<std::string>& keys) {
  return fmt::format(R"(#compdef convoy
# source <(convoy completion zsh), after compinit
_convoy() {{
  local current=${{words[CURRENT]}} previous=${{words[CURRENT - 1]}} value="" values=""
  local -a before=("${{(@)words[2,CURRENT - 1]}}")
{}{}  if [[ $value == yes ]]; then
    if [[ -n $values ]]; then compadd -- ${{=values}}; else _files; fi
  elif [[ $current == -* ]]; then
    compadd -- ${{=options}}
  elif [[ -n $commands$choices ]]; then
    compadd -- ${{=commands}} ${{=choices}}
  else
    [[ -n $keys ]] && compadd -S = -- ${{=keys}}
    _files
  fi
}}
compdef _convoy convoy
)",
                     find_path(places), list_what_follows(places, keys));
}

std::string fish_script(const std::vector<Place>& places, const std::vector<std::string>& keys) {
  std::vector<std::string> paths;
  for (const auto& [path, node] : places)
    if (!path.empty()) paths.push_back(quoted(path));
  std::string out = fmt::format(R"(# convoy completion fish | source
function __convoy_at
    set -l place ""
    for word in (commandline -opc)[2..-1]
        set -l next (string trim "$place $word")
        contains -- "$next" {} && set place $next
    end
    test "$place" = "$argv[1]"
end
)",
                                fmt::join(paths, " "));
  for (const auto& [path, node] : places) {
    const std::string at = fmt::format("complete -c convoy -n \"__convoy_at {}\"", quoted(path));
    for (const CommandNode& command : node->commands)
      out += fmt::format("{} -f -a {} -d {}\n", at, command.name, quoted(command.help));
    for (const std::string& choice : choices_of(*node)) out += fmt::format("{} -f -a {}\n", at, choice);
    if (takes_keys(*node)) {
      out += fmt::format("{} -a {}\n", at, quoted(fmt::format("{}=", fmt::join(keys, "= "))));
    }
    for (const CommandNode::Option& option : node->options) {
      out += at;
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      out += " -d " + quoted(option.help);
      if (!option.choices.empty())
        out += fmt::format(" -x -a {}", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
      else if (option.takes_value)
        out += " -r -F";
      out += '\n';
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const std::string& shell, const CommandNode& root,
                              const std::vector<std::string>& keys) {
  const std::vector<Place> places = places_in(root);
  if (shell == "bash") return bash_script(places, keys);
  return shell == "zsh" ? zsh_script(places, keys) : fish_script(places, keys);
}

int run(const CommandContext& context, const CompletionArguments& arguments) {
  if (context.ranks.is_root())
    fmt::print("{}", completion_script(arguments.shell, arguments.describe(), schema_keys()));
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
