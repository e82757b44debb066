// `convoy report`: runs that there are, side by side, as a page.
#include "src/cli/commands.h"
#include "src/study/machine.h"
#include "src/study/page.h"

namespace convoy {

int run(const CommandContext& context, const ReportArguments& arguments) {
  if (!context.ranks.is_root()) return static_cast<int>(ExitCode::done);
  Study study;
  study.title = arguments.runs.size() == 1 ? arguments.runs.front() : "Runs side by side";
  StudyResults results;
  for (const std::string& folder : arguments.runs) {
    StudyCell cell;
    cell.kind = StudyCell::Kind::run;
    cell.variant = study.variants.size();
    cell.number = study.seeds.front();
    cell.result = folder;
    if (!std::filesystem::is_regular_file(cell.result / "metrics.jsonl"))
      fail("{}: is no run's folder; it has no metrics.jsonl", folder);
    study.variants.push_back({folder, {}, {}});
    results.runs.push_back(read_run_result(cell));
  }
  results.machine = machine_facts();
  const std::filesystem::path output = arguments.output;
  write_study(study, results, output);
  print_printable("{}\n", (output / "index.html").string());
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
