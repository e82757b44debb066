// Every error ends here, as a message and an exit code.
#include <csignal>
#include <cstdio>
#include <system_error>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/cli/entry.h"
#include "src/cli/output.h"
#include "src/core/log.h"
#include "src/core/reason.h"

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
    fail("cannot write all of it to standard output: {}", system->code().message());
  }
}

/// For an error that the other ranks do not know of.
void report_alone(const RankEnvironment& ranks, const std::exception& error) {
  const std::string where = ranks.size() == 1 ? "" : format_printable(" (host {})", ranks.host());
  write_log_error(reason_of(error) + where);
}

}  // namespace

int convoy_main(int argc, char** argv) {
  const auto process_start = std::chrono::steady_clock::now();
  // What writes to a pipe that nobody reads fails instead: such an end would lose a run's last checkpoint.
  const bool pipe_kills = std::signal(SIGPIPE, SIG_IGN) != SIG_IGN;
  try {
    hold_standard_descriptors();
    const RankEnvironment ranks(&argc, &argv);
    set_up_log(ranks.rank(), ranks.size());
    const CommandContext context{ranks, process_start};
    try {
      return run_and_flush(argc, argv, context, pipe_kills);
    } catch (const AgreedError& error) {
      if (ranks.is_root()) write_log_error(error.what());
      return static_cast<int>(error.code());
    } catch (const Error& error) {
      report_alone(ranks, error);
      ranks.abort(static_cast<int>(error.code()));
    } catch (const std::exception& error) {
      report_alone(ranks, error);
      ranks.abort(static_cast<int>(ExitCode::failure));
    }
  } catch (const Error& error) {  // before there are ranks
    std::fprintf(stderr, "error: %s\n", printable_lines(error.what()).c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", printable_lines(reason_of(error)).c_str());
    return static_cast<int>(ExitCode::failure);
  }
}
