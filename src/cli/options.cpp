// Options and arguments that several commands have.
#include "src/cli/options.h"

#include <fmt/ranges.h>

namespace convoy {

void add_overrides(CLI::App* command, std::vector<std::string>& overrides, const char* help) {
  command->add_option("OVERRIDES", overrides, help)->option_text("key=value ...");
}

CLI::Option* add_run(CLI::App* command, std::string& path) {
  return command->add_option("RUN", path, "a run's folder or one of its checkpoints")->required();
}

void add_best(CLI::App* command, bool& best) {
  command->add_flag(
      "--best", best,
      "take the checkpoint with the best validation instead of the newest (for a run's folder)");
}

void add_config_arguments(CLI::App* command, ConfigArguments& arguments) {
  command->add_option("CONFIG", arguments.path, "YAML file of the network and its training")->required();
  add_overrides(command, arguments.overrides,
                "replace values of the file: train.epochs=5, model.layers.0.conv.out=32; ~key removes one, "
                "so that it has its default");
  command->footer(std::string("`convoy keys` lists the keys of a configuration, `convoy keys train` those "
                              "of one section.\n") +
                  exit_codes);
}

void add_choices(CLI::Option* option, const std::vector<std::string>& words) {
  option->option_text(fmt::format("{}", fmt::join(words, "|")))->check(CLI::IsMember(words));
}

void add_seconds_option(CLI::App* command, double& seconds, const char* help) {
  command->add_option("--seconds", seconds, help)
      ->option_text("S")
      ->check(CLI::Range(0.01, 86400.0))
      ->capture_default_str();
}

void add_json_option(CLI::App* command, std::string& path) {
  command->add_option("--json", path, "also write the figures to this file")->option_text("FILE");
}

}  // namespace convoy
