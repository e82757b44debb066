// `convoy study`: networks on engines side by side, as a page.
#include <sstream>

#include "core/log.h"
#include "src/cli/commands.h"
#include "src/cli/version.h"
#include "src/run/run_lock.h"
#include "src/study/conduct.h"
#include "src/study/machine.h"
#include "src/study/page.h"
#include "src/train/stop_request.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

/// The lines of --version, which say what was built and with what.
void add_build(const CommandContext& context, StudyResults& results) {
  std::istringstream lines(version_text(context.ranks));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::size_t begin = line.find_first_not_of(' ', end);
    if (begin != std::string::npos) results.machine.emplace_back(line.substr(0, end), line.substr(begin));
  }
}

void print_verdicts(const Study& study, const StudyResults& results) {
  for (const GateResult& gate : results.gates) {
    if (gate.passed()) continue;
    print_printable("{} on {}: losses differ from plain loops by {:.1e}, more than {:.0e}\n",
                    study.variants[gate.variant].name, study.engines[gate.engine].name(), gate.difference,
                    gate.limit);
  }
  for (const std::string& line : results.failures) print_printable("failed: {}\n", line);
}

}  // namespace

int run(const CommandContext& context, const StudyArguments& arguments) {
  if (context.ranks.size() > 1)
    fail_usage("`convoy study` starts ranks by itself; run it without mpirun or srun");
  const StopRequest stop;
  const Study study = load_study(arguments.path, arguments.quick);
  const StudyPlace place{arguments.output.empty() ? fs::path("studies") / fs::path(arguments.path).stem()
                                                  : fs::path(arguments.output),
                         fs::read_symlink("/proc/self/exe")};
  const RunLock lock(place.folder, context.ranks.host(), [&] { return stop.made(); });
  StudyResults results = conduct(
      study, place, [&] { return stop.made(); },
      [](const std::string& line) {
        print_printable("{}\n", line);
        std::fflush(stdout);
      });
  results.machine = machine_facts();
  add_build(context, results);
  write_study(study, results, place.folder);
  print_verdicts(study, results);
  print_printable("{}: {}\n", stop.made() ? "stopped; the same command goes on. So far" : "done",
                  (place.folder / "index.html").string());
  if (stop.made()) return static_cast<int>(ExitCode::stopped);
  const bool agree = std::all_of(results.gates.begin(), results.gates.end(),
                                 [](const GateResult& gate) { return gate.passed(); });
  return static_cast<int>(agree && results.failures.empty() ? ExitCode::done : ExitCode::failure);
}

}  // namespace convoy
