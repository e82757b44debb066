// Every error ends here, as a message and an exit code.
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>

#include "comm/agree.h"
#include "comm/launch_watch.h"
#include "comm/launcher.h"
#include "comm/watchdog.h"
#include "core/log.h"
#include "core/reason.h"
#include "src/cli/commands.h"
#include "src/cli/entry.h"
#include "src/cli/launch_limit.h"
#include "src/cli/output.h"
#include "src/config/config.h"

namespace {

using namespace convoy;

/// Throws where not all that was printed could be written, as on a full disk. Where nobody reads it any more
/// and `pipe_kills`, the process ends by SIGPIPE, as other tools do, but after all it had open was tidied up.
int run_and_flush(int argc, char** argv, const CommandContext& context, bool pipe_kills) {
  try {
    const int code = run_command_line(argc, argv, context);
    flush_output();
    return code;
  } catch (const std::exception& error) {
    if (pipe_kills && reader_of_output_is_gone()) {
      std::signal(SIGPIPE, SIG_DFL);
      std::raise(SIGPIPE);
    }
    // fmt::print() throws it without a name.
    const auto* system = dynamic_cast<const std::system_error*>(&error);
    if (system == nullptr || std::ferror(stdout) == 0) throw;
    fail("cannot write everything to standard output: {}", system->code().message());
  }
}

/// For an error that the other ranks do not know of.
void report_alone(const RankEnvironment& ranks, const std::exception& error) {
  const std::string where = ranks.size() == 1 ? "" : format_printable(" (host {})", ranks.host());
  write_log_error(reason_of(error) + where);
}

/// Returns the exit code. Does not return where this rank alone failed: others may wait for it.
int run_watched(int argc, char** argv, RankEnvironment& ranks, std::optional<LaunchWatch>& launching,
                Seconds limit, std::chrono::steady_clock::time_point process_start, bool pipe_kills) {
  std::optional<Watchdog> watchdog;
  int code = 0;
  try {
    watchdog.emplace(ranks, HeartbeatLimits{.silence = limit, .step = Seconds(0)});
    launching.reset();
    ranks.activity().begin("starting");
    code = run_and_flush(argc, argv, {ranks, *watchdog, process_start}, pipe_kills);
  } catch (const AgreedError& error) {
    if (ranks.is_root()) write_log_error(error.what());
    code = static_cast<int>(error.code());
  } catch (const Error& error) {
    report_alone(ranks, error);
    ranks.abort(static_cast<int>(error.code()));
  } catch (const std::exception& error) {
    report_alone(ranks, error);
    ranks.abort(static_cast<int>(ExitCode::failure));
  }
  if (watchdog && code == static_cast<int>(ExitCode::stopped)) watchdog->expect_losses();
  ranks.activity().begin("finalising");
  ranks.finalise();
  return code;
}

}  // namespace

int convoy_main(int argc, char** argv) {
  const auto process_start = std::chrono::steady_clock::now();
  // What writes to a pipe that nobody reads fails instead: such an end would lose a run's last checkpoint.
  const bool pipe_kills = std::signal(SIGPIPE, SIG_IGN) != SIG_IGN;
  try {
    hold_standard_descriptors();
    // Where there are other ranks, some watch sees one that is stopped, from the first moment to the last.
    const bool several = read_launch().needs_mpi();
    const Seconds limit(several ? launch_limit(argc, argv) : DistributedConfig{}.timeout);
    std::optional<LaunchWatch> launching;
    if (several) launching.emplace(limit);
    RankEnvironment ranks(&argc, &argv);
    set_up_log(ranks.rank(), ranks.size());
    return run_watched(argc, argv, ranks, launching, limit, process_start, pipe_kills);
  } catch (const Error& error) {  // before there are ranks
    std::fprintf(stderr, "error: %s\n", printable_lines(error.what()).c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", printable_lines(reason_of(error)).c_str());
    return static_cast<int>(ExitCode::failure);
  }
}
