#include "comm/agree.h"
#include "comm/cores.h"
#include "src/checkpoint/weights_file.h"
#include "src/cli/commands.h"
#include "src/session/cautions.h"
#include "src/session/setup.h"
#include "src/train/early_stop.h"
#include "src/train/stop_request.h"
#include "src/train/trainer.h"

namespace convoy {

namespace {

/// `init_is_option`: the initial weights are those of the command line, not of the configuration.
void check_paths(const TrainOptions& options, bool init_is_option) {
  namespace fs = std::filesystem;
  if (fs::exists(options.output) && !fs::is_directory(options.output)) {
    fail("--output {}: there is a file of that name", options.output.string());
  }
  if (!options.resume.empty() && options.resume != "auto" && !fs::exists(options.resume)) {
    fail("--resume {}: does not exist", options.resume);
  }
  // A run that is resumed has no need of the file that its configuration names.
  if (!options.init.empty() && (init_is_option || options.resume.empty()))
    require_weights_file(options.init, init_is_option ? "--init" : "model.init:");
  if (init_is_option && !options.resume.empty() && options.resume != "auto")
    fail_usage(
        "--init goes with --resume auto only; with --resume FILE the weights come from that checkpoint");
  if (options.init.empty() && !options.init_except.empty())
    fail_usage("--init-except needs --init or model.init");
  if (options.resume.empty() && options.resume_on_other_data)
    fail_usage("--resume-on-other-data needs --resume");
}

/// Whether the record of a failure belongs into the folder: not where no run has begun in it and it goes away
/// again, nor where another run has taken it.
bool may_record(const RunLock& lock, const std::filesystem::path& folder) {
  std::error_code error;
  const bool is_begun = std::filesystem::exists(folder / "config.yaml", error);
  return lock.is_ours() && (is_begun || !lock.made_folder());
}

}  // namespace

int run(const CommandContext& context, const TrainArguments& arguments) {
  const RankEnvironment& ranks = context.ranks;
  const StopRequest stop;
  const Config config = load_agreed(arguments.config, context);
  TrainOptions options;
  options.stop_requested = [&stop] { return stop.made(); };
  options.output = arguments.output.empty() ? "runs/" + config.name : arguments.output;
  options.output = options.output.lexically_normal();
  if (!options.output.has_filename()) options.output = options.output.parent_path();  // a slash at its end
  options.resume = arguments.resume;
  options.resume_on_other_data = arguments.resume_on_other_data;
  options.init = arguments.init.empty() ? config.model.init : arguments.init;
  options.profile_steps = arguments.profile ? arguments.profile_steps : 0;
  options.init_except = arguments.init_except;
  options.process_start = context.process_start;
  std::optional<RunLock> lock;  // of rank 0
  agree(ranks, [&] {            // before the data is loaded
    if (!ranks.is_root()) return;
    check_paths(options, !arguments.init.empty());
    options.lock = &lock.emplace(options.output, ranks.host(), options.stop_requested);
  });
  Console console(ranks, config.train.log_every);
  console.line(format_printable("{}: loading data", arguments.config.path));
  const std::string problem = launcher_problem(ranks);
  if (!problem.empty()) console.warn(problem);
  Watchdog& watchdog = context.watchdog;
  watchdog.record_in(options.output);
  const auto guard = [&](auto work) {
    return watchdog.guard([&] {
      try {
        return work();
      } catch (...) {
        if (lock && !may_record(*lock, options.output)) watchdog.record_nowhere();
        throw;
      }
    });
  };
  const std::unique_ptr<Session> session = guard([&] {
    const EarlyStop early(
        options.stop_requested, watchdog,
        "on request, before the first step; to go on, give the same command with --resume auto",
        std::chrono::milliseconds(0));
    return make_session(config, ranks, /*identify=*/true);
  });
  watchdog.set_device(session->engine().describe());
  if (ranks.is_root()) {
    const bool on_test = session->validation_is_test();
    for (const Caution& caution : cautions(config, session->plans().counts, on_test))
      console.warn(caution.text);
    if (const std::string& caution = session->plans().caution; !caution.empty()) console.warn(caution);
  }
  const bool finished = guard([&] {
    // Whoever sends SIGTERM sends SIGKILL next: a step that outlasts this grace cannot be waited for.
    EarlyStop early([&stop] { return stop.is_final(); }, watchdog,
                    "on request, but not at a checkpoint, since the step under way takes more than 4 s: what "
                    "was done since "
                    "the last one is lost; to go on from there, give the same command with --resume auto",
                    std::chrono::seconds(4));
    options.let_finish = [&early] { early.cancel(); };
    return Trainer(config, options, *session, ranks, console).run().has_value();
  });
  return static_cast<int>(finished ? ExitCode::done : ExitCode::stopped);
}

}  // namespace convoy
