// convoy: train | eval | plan | check | bench.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/core/log.h"

namespace {

using namespace convoy;

int run_cli(int argc, char** argv, CommandContext& context) {
  CLI::App app{"Convoy: data-parallel training of convolutional networks on CPUs and GPUs"};
  app.set_version_flag("--version", CONVOY_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 the run failed, 2 wrong usage or configuration, 128+n ended by signal n.");
  add_train(app, context);
  add_eval(app, context);
  add_plan(app, context);
  add_check(app, context);
  add_bench(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for = error.get_exit_code() == 0;  // --help, --version
    if (context.ranks.is_root()) app.exit(error);
    return static_cast<int>(asked_for ? ExitCode::done : ExitCode::usage);
  }
  return context.action();
}

/// For an error that the other ranks do not know of.
void report_alone(const RankEnvironment& ranks, const std::exception& error) {
  log_error("{}{}", error.what(), ranks.size() == 1 ? "" : fmt::format(" (host {})", ranks.host()));
}

}  // namespace

int main(int argc, char** argv) {
  const auto process_start = std::chrono::steady_clock::now();
  try {
    const RankEnvironment ranks(&argc, &argv);
    set_up_log(ranks.rank(), ranks.size());
    CommandContext context{ranks, process_start, {}};
    try {
      return run_cli(argc, argv, context);
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
  } catch (const std::exception& error) {  // before there are ranks
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(ExitCode::failure);
  }
}
