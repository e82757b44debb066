// The options of `convoy study` and `convoy report`.
#include "src/cli/options.h"

namespace convoy {

namespace {

void add_report(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "show runs side by side as a page with charts");
  command->group("Use a trained network");
  auto& arguments = arguments_of<ReportArguments>(command, action);
  command->add_option("RUN", arguments.runs, "folders of runs")->option_text("RUN ...")->required();
  command->add_option("--output", arguments.output, "folder for index.html, study.json and tables")
      ->option_text("DIR")
      ->capture_default_str();
}

}  // namespace

void add_study(CLI::App& app, Action& action) {
  add_report(app, action);
  CLI::App* command = app.add_subcommand("study", "compare networks and engines on a page with charts");
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
