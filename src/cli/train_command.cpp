#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/train/setup.h"
#include "src/train/stop_request.h"
#include "src/train/trainer.h"

namespace convoy {

Config load_agreed(const ConfigArguments& arguments, const RankEnvironment& ranks) {
  Config config;
  agree(ranks, [&] { config = load_config(arguments.path, arguments.overrides); });
  return config;
}

namespace {

void check_paths(const TrainOptions& options) {
  namespace fs = std::filesystem;
  if (fs::exists(options.output) && !fs::is_directory(options.output)) {
    fail("--output {}: there is a file of that name", options.output.string());
  }
  if (!options.resume.empty() && options.resume != "auto" && !fs::exists(options.resume)) {
    fail("--resume {}: does not exist", options.resume);
  }
}

}  // namespace

int run(const CommandContext& context, const TrainArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const StopRequest stop;  // from here on: a signal while data is loaded stops the run at its first steps
  const Config config = load_agreed(arguments.config, ranks);
  TrainOptions options;
  options.stop_requested = [&stop] { return stop.made(); };
  options.output = arguments.output.empty() ? "runs/" + config.name : arguments.output;
  options.output = (options.output / "").lexically_normal().parent_path();  // without a trailing slash
  if (options.output.empty()) options.output = ".";
  options.resume = arguments.resume;
  options.process_start = context.process_start;
  agree(ranks, [&] {  // before the data is loaded
    if (ranks.is_root()) check_paths(options);
  });
  const std::unique_ptr<Session> session = make_session(config, ranks);
  const bool finished = Trainer(config, options, *session, ranks).run().has_value();
  return static_cast<int>(finished ? ExitCode::done : ExitCode::stopped);
}

}  // namespace convoy
