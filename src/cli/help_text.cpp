#include "src/cli/help_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "core/wrap.h"

namespace convoy {
namespace {

constexpr std::size_t widest_left = 26;  ///< of a table's left column; longer names have a line of their own

struct Row {
  std::string left, right;
};

/// `left`: at least so wide is the left column.
std::string format_table(const std::vector<Row>& rows, std::size_t width, std::size_t left = 0) {
  for (const Row& row : rows)
    if (row.left.size() <= widest_left) left = std::max(left, row.left.size());
  const std::size_t column = 2 + left + 2;
  std::string out;
  for (const Row& row : rows) {
    out += "  " + row.left;
    if (row.left.size() > left) out += '\n';
    out.append(row.left.size() > left ? column : column - 2 - row.left.size(), ' ');
    out += wrapped(row.right, width, column, column) + "\n";
  }
  return out;
}

std::string sentence(std::string text) {
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text.ends_with('.') ? text : text + ".";
}

/// Paragraphs are wrapped; lines that begin with a space stand as they are.
std::string format_footer(const std::string& footer, std::size_t width) {
  std::string out;
  for (std::size_t begin = 0; begin < footer.size();) {
    const std::size_t end = std::min(footer.find('\n', begin), footer.size());
    const std::string line = footer.substr(begin, end - begin);
    out += (line.starts_with(' ') ? line : wrapped(line, width)) + "\n";
    begin = end + 1;
  }
  return out;
}

/// The subcommands, a table for each of their groups, in the order in which the groups first appear.
std::string format_commands(const std::vector<CommandNode>& commands, std::size_t width) {
  std::vector<std::string> groups;
  std::size_t left = 0;
  for (const CommandNode& command : commands) {
    left = std::max(left, command.name.size());
    if (std::find(groups.begin(), groups.end(), command.group) == groups.end())
      groups.push_back(command.group);
  }
  std::string out;
  for (const std::string& group : groups) {
    std::vector<Row> rows;
    for (const CommandNode& command : commands)
      if (command.group == group) rows.push_back({command.name, command.help});
    out += fmt::format("\n{}:\n{}", group, format_table(rows, width, left));
  }
  return out;
}

}  // namespace

std::string usage_of(const CommandNode& command, const std::string& path) {
  std::string usage = path;
  for (const CommandNode::Positional& positional : command.positionals)
    usage += positional.required ? " " + positional.text : fmt::format(" [{}]", positional.text);
  return usage + (command.commands.empty() ? " [options]" : " COMMAND ...");
}

std::string help_text(const CommandNode& command, const std::string& path, std::size_t width) {
  std::string out = "Usage: " + wrapped(usage_of(command, path), width, 7, 11) + "\n\n" +
                    wrapped(sentence(command.help), width) + "\n";
  std::vector<Row> arguments, options;
  for (const CommandNode::Positional& positional : command.positionals)
    arguments.push_back({positional.text, positional.help});
  for (const CommandNode::Option& option : command.options) {
    const std::string names = fmt::format("{}", fmt::join(option.names, ", "));
    options.push_back({option.value.empty() ? names : names + " " + option.value, option.help});
  }
  if (!arguments.empty()) out += "\nArguments:\n" + format_table(arguments, width);
  out += format_commands(command.commands, width);
  if (!options.empty()) out += "\nOptions:\n" + format_table(options, width);
  if (!command.footer.empty()) out += "\n" + format_footer(command.footer, width);
  return out;
}

}  // namespace convoy
