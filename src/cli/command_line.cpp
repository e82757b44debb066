// The command line: which command it names, and what is said where it names none.
#include <algorithm>
#include <cstdlib>

#include "core/log.h"
#include "core/wrap.h"
#include "src/cli/help_text.h"
#include "src/cli/options.h"
#include "src/cli/usage_hints.h"
#include "src/cli/version.h"

namespace convoy {
namespace {

/// "cpu|cuda" as the values that an option takes; what is in capitals stands for others.
std::vector<std::string> choices_in(const std::string& text) {
  const bool listed =
      text.find('|') != std::string::npos && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '|' || c == '-';
      });
  return listed ? CLI::detail::split(text, '|') : std::vector<std::string>{};
}

/// What stands for an option's value: the text it was given, or the kind of it ("TEXT").
std::string value_text(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";
  if (!option.get_option_text().empty()) return option.get_option_text();
  const std::string type = option.get_type_name();
  return type.substr(0, type.find_first_of(":{ "));
}

/// The help of an option with its default, and with the options that it goes with or not.
std::string full_help(const CLI::Option& option) {
  std::string help = option.get_description();
  if (!option.get_default_str().empty()) help += fmt::format(" (default: {})", option.get_default_str());
  for (const CLI::Option* other : option.get_needs()) help += fmt::format(" (with {})", other->get_name());
  for (const CLI::Option* other : option.get_excludes())
    help += fmt::format(" (not with {})", other->get_name());
  return help;
}

CommandNode node_of(const CLI::App& app) {
  CommandNode node;
  node.name = app.get_name();
  node.help = app.get_description();
  node.group = app.get_group() == "Subcommands" ? "Commands" : app.get_group();  // CLI11's name for none
  node.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> choices = choices_in(option->get_option_text());
    if (option->get_positional()) {
      const std::string name = option->get_name(true), text = option->get_option_text();
      node.positionals.push_back(
          {name, text.empty() ? name : text, option->get_description(), option->get_required(), choices});
      continue;
    }
    CommandNode::Option& out = node.options.emplace_back();
    for (const std::string& name : option->get_snames()) out.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) out.names.push_back("--" + name);
    out.value = value_text(*option);
    out.help = full_help(*option);
    out.takes_value = option->get_expected_max() > 0;
    out.choices = choices;
  }
  // -h stands first in CLI11 and last in what is printed.
  std::stable_partition(node.options.begin(), node.options.end(),
                        [](const auto& option) { return option.names.front() != "-h"; });
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    node.commands.push_back(node_of(*command));
  return node;
}

void add_completion(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("completion", "print a script that lets a shell complete this command line");
  command->group("Other");
  auto& arguments = arguments_of<CompletionArguments>(command, action);
  arguments.describe = [&app] { return node_of(app); };
  add_choices(command->add_option("SHELL", arguments.shell, "for bash: source <(convoy completion bash)"),
              {"bash", "zsh", "fish"});
  command->get_option("SHELL")->required();
}

constexpr const char* first_steps =
    "Examples (`convoy COMMAND --help` says more, `convoy keys` lists all keys):\n"
    "  convoy train configs/quickstart.yaml             on one GPU or the CPU\n"
    "  mpirun -n 4 convoy train CONFIG train.epochs=5   on four GPUs; srun as well\n"
    "  convoy predict runs/NAME picture.jpg             with what was trained\n";

/// What is wrong with the command line, in a sentence or two.
std::string usage_error(const CLI::ParseError& error, const CommandNode& root,
                        const std::vector<std::string>& words) {
  const CalledCommand called = called_command(root, words);
  const std::string unknown = unknown_word(root, words, schema_keys());
  std::string what = error.what();
  // "--resume: 1 required TEXT missing"
  if (const std::size_t end = what.find(": 1 required "); end != std::string::npos)
    what = what.substr(0, end) + " needs a value";
  return fmt::format("{}; `{} --help` lists the arguments",
                     unknown.empty() ? fmt::format("{}: {}", called.path, what) : unknown, called.path);
}

}  // namespace

int run_command_line(int argc, char** argv, const CommandContext& context) {
  CLI::App app{"train convolutional networks on CPUs and GPUs, data-parallel over any number of ranks",
               "convoy"};
  app.set_help_flag("-h,--help", "print this help");
  app.set_version_flag(
      "--version", [&] { return version_text(context.ranks); },
      "print the version and what this program was built with");
  app.require_subcommand(1);
  app.footer(exit_codes);
  Action action;
  add_run_commands(app, action);
  add_models(app, action);
  add_data(app, action);
  add_bench(app, action);
  add_study(app, action);
  add_completion(app, action);
  app.footer(first_steps + std::string(exit_codes));
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "help") {  // `convoy help train`
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  const auto print_help = [&](std::FILE* file) {
    const CommandNode root = node_of(app);
    const CalledCommand called = called_command(root, words);
    fmt::print(file, "{}", help_text(*called.node, called.path, output_width()));
  };
  try {
    std::vector<std::string> backwards(words.rbegin(), words.rend());  // the order that CLI11 takes
    app.parse(backwards);
  } catch (const CLI::CallForHelp&) {
    if (context.ranks.is_root()) print_help(stdout);
    return static_cast<int>(ExitCode::done);
  } catch (const CLI::CallForVersion&) {
    if (context.ranks.is_root()) fmt::print("{}\n", version_text(context.ranks));
    return static_cast<int>(ExitCode::done);
  } catch (const CLI::ParseError& error) {
    if (!context.ranks.is_root()) return static_cast<int>(ExitCode::usage);
    const CommandNode root = node_of(app);
    const CalledCommand called = called_command(root, words);
    const bool stopped_short = called.begins == words.size() && !called.node->commands.empty();
    if (stopped_short)
      print_help(stderr);
    else
      write_log_error(usage_error(error, root, words));
    return static_cast<int>(ExitCode::usage);
  }
  return action(context);
}

}  // namespace convoy
