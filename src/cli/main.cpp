// Every error ends here, as a message and an exit code.
#include <cstdio>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/cli/entry.h"
#include "src/core/log.h"

namespace {

using namespace convoy;

/// For an error that the other ranks do not know of.
void report_alone(const RankEnvironment& ranks, const std::exception& error) {
  log_error("{}{}", error.what(), ranks.size() == 1 ? "" : fmt::format(" (host {})", ranks.host()));
}

}  // namespace

int convoy_main(int argc, char** argv) {
  const auto process_start = std::chrono::steady_clock::now();
  try {
    const RankEnvironment ranks(&argc, &argv);
    set_up_log(ranks.rank(), ranks.size());
    const CommandContext context{ranks, process_start};
    try {
      return run_command_line(argc, argv, context);
    } catch (const AgreedError& error) {
      if (ranks.is_root()) log_error("{}", error.what());
      return static_cast<int>(error.code());
    } catch (const Error& error) {
      report_alone(ranks, error);
      ranks.abort(static_cast<int>(error.code()));
    } catch (const std::exception& error) {
      report_alone(ranks, error);
      ranks.abort(static_cast<int>(ExitCode::failure));
    }
  } catch (const Error& error) {  // before there are ranks
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(ExitCode::failure);
  }
}
