// `convoy data pack`: a folder of pictures as one file.
#include <unistd.h>

#include <cstdio>

#include "comm/agree_on_root.h"
#include "comm/cores.h"
#include "src/cli/commands.h"
#include "src/data/packed.h"
#include "src/session/plan_set.h"
#include "src/train/early_stop.h"
#include "src/train/stop_request.h"

namespace convoy {

int run(const CommandContext& context, const DataPackArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const StopRequest stop;
  const EarlyStop early([&] { return stop.made(); }, context.watchdog, "on request; nothing is written",
                        std::chrono::seconds(2));
  PackSummary summary;
  ranks.activity().begin("packing pictures");
  agree_on_root(ranks, [&] {
    PackOptions options{arguments.size, arguments.max_bad, static_cast<int>(bound_cores().size()), {}};
    const bool live = isatty(STDERR_FILENO) != 0;
    options.progress = [&](std::int64_t done, std::int64_t of) {
      if (live) {
        fmt::print(stderr, "\r\033[K{} of {} pictures", done, of);
        if (done == of || stop.made()) std::fputs("\r\033[K", stderr);
        std::fflush(stderr);
      }
      if (stop.made()) throw Error("stopped on request; nothing is written", ExitCode::stopped);
    };
    summary = pack_folder(arguments.folder, arguments.output, options);
  });
  if (ranks.is_root()) {
    print_printable("{}: {} training and {} validation images{} of {} classes, {} x {}, {}{}\n",
                    arguments.output, summary.train, summary.validation,
                    summary.test > 0 ? fmt::format(" and {} to test on", summary.test) : "", summary.classes,
                    arguments.size, arguments.size, human_bytes(static_cast<std::int64_t>(summary.bytes)),
                    summary.left_out > 0 ? fmt::format("; {} broken left out", summary.left_out) : "");
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
