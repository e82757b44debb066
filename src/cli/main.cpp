// Every error ends here, as a message and an exit code.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/cli/entry.h"
#include "src/core/log.h"
#include "src/core/reason.h"

namespace {

using namespace convoy;

/// A file that is opened later would get the number of a closed descriptor, and with it what is printed.
void keep_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDWR));  // gets the lowest number
}

[[noreturn]] void fail_to_print(const std::string& why) {
  fail("cannot write all of it to standard output: {}", why);
}

/// Throws where not all that was printed could be written, as on a full disk.
int run_and_flush(int argc, char** argv, const CommandContext& context) {
  try {
    const int code = run_command_line(argc, argv, context);
    if (code != static_cast<int>(ExitCode::done)) return code;
    if (std::ferror(stdout) != 0) fail_to_print("an earlier part is missing");
    if (std::fflush(stdout) != 0) fail_to_print(std::strerror(errno));
    return code;
  } catch (const std::system_error& error) {  // as fmt::print() throws it, without the name
    if (std::ferror(stdout) == 0) throw;
    fail_to_print(error.code().message());
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
  keep_standard_descriptors();
  try {
    const RankEnvironment ranks(&argc, &argv);
    set_up_log(ranks.rank(), ranks.size());
    const CommandContext context{ranks, process_start};
    try {
      return run_and_flush(argc, argv, context);
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
