// The options of `convoy study`.
#include "src/cli/options.h"

namespace convoy {

void add_study(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("study",
                                         "compare networks on engines (plain loops, threads, ranks, GPUs) "
                                         "and show speeds and accuracy as a page");
  command->group("Data and speed");
  auto& arguments = arguments_of<StudyArguments>(command, action);
  command
      ->add_option("STUDY", arguments.path, "YAML file that says what is compared; configs/studies has some")
      ->option_text("STUDY")
      ->required();
  command
      ->add_option("--output", arguments.output,
                   "the study's folder, where it goes on if it was stopped (default: studies/<name>)")
      ->option_text("DIR");
  command->add_flag("--quick", arguments.quick, "one short round, one seed, one epoch: to try a file");
}

}  // namespace convoy
