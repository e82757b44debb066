// `convoy check`: everything that can fail before the first step, all of it said at once.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>

#include "comm/agree.h"
#include "comm/cores.h"
#include "comm/same.h"
#include "src/checkpoint/weights_file.h"
#include "src/cli/commands.h"
#include "src/cli/output.h"
#include "src/config/config.h"
#include "src/data/inspection.h"
#include "src/engine/cuda_build.h"
#include "src/session/cautions.h"
#include "src/session/rank_checks.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

constexpr Seconds patience{120};  // with a check that waits for other ranks

/// Runs checks on all ranks, prints a verdict for each and remembers the worst.
class CheckList {
 public:
  explicit CheckList(const RankEnvironment& ranks) : ranks_(ranks) {}

  using Work = std::function<std::string()>;
  /// `what` is "checking TOPIC", which other ranks say where this one is lost meanwhile.
  /// `work` is each rank's own and returns what to say when all is well. Returns whether it was.
  bool run(const char* what, const Work& work) {
    return run_together(what, [&] {
      std::string note;
      agree(ranks_, [&] { note = work(); });
      return note;
    });
  }
  /// `work` is collective: where it throws, it throws an AgreedError. Any other is one rank's, for which the
  /// rest may still wait.
  bool run_together(const char* what, const Work& work) {
    ranks_.activity().begin(what);
    ranks_.activity().advance();
    ++done_;
    try {
      say("ok  ", topic_of(what), work());
      return true;
    } catch (const AgreedError& error) {
      say("FAIL", topic_of(what), error.what());
      ++failed_;
      worst_ = std::max(worst_, static_cast<int>(error.code()));
      return false;
    }
  }
  void skip(const char* what, const char* why) const { say("skip", what, why); }
  /// For what does not stop a run. Nothing where there is no problem.
  void warn(const char* what, const std::string& problem) const {
    if (!problem.empty()) say("warn", what, problem);
  }
  /// Says what all of it comes to; returns the exit code.
  int conclude() const {
    const std::string who = ranks_.size() == 1 ? "" : fmt::format(" on {} ranks", ranks_.size());
    if (ranks_.is_root() && failed_ == 0) print_printable("ready to train{}\n", who);
    if (ranks_.is_root() && failed_ > 0)
      print_printable("not ready: {} of {} checks failed\n", failed_, done_);
    return worst_;
  }

 private:
  static const char* topic_of(const char* what) { return what + std::string_view("checking ").size(); }
  void say(const char* verdict, const char* what, const std::string& note) const {
    if (!ranks_.is_root()) return;
    std::string text = note;  // what goes on in another line stands below its beginning
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; ++at)
      text.insert(at + 1, 17, ' ');
    fmt::print("{}  {:<10} {}\n", verdict, what, printable_lines(text));
    flush_output();
  }
  const RankEnvironment& ranks_;
  int worst_ = 0, done_ = 0, failed_ = 0;
};

/// Looks at the nearest folder above `output` that exists and leaves nothing behind.
std::string disk_note(const std::filesystem::path& output, std::int64_t parameters, const Config& config) {
  std::filesystem::path folder = std::filesystem::absolute(output);
  while (!std::filesystem::exists(folder)) folder = folder.parent_path();
  if (!std::filesystem::is_directory(folder))
    fail("{}: {} is not a folder", output.string(), folder.string());
  if (::access(folder.c_str(), W_OK) != 0) fail("{}: cannot write to {}", output.string(), folder.string());
  const auto free = static_cast<std::int64_t>(std::filesystem::space(folder).available);
  // Parameters, moments, an average; all files that are kept, the best, and one under way.
  const auto blocks = std::ssize(moments_of(config.optimizer.rule)) + (config.train.ema > 0 ? 2 : 1);
  const std::int64_t files = std::max(config.checkpoint.keep, 1) + (config.checkpoint.best ? 2 : 1);
  const std::int64_t wanted = blocks * parameters * size_of(DType::f32) * files;
  if (free < wanted) {
    fail(
        "{}: {} are free, but checkpoints need {} (checkpoint.keep and one more); keep fewer, or give "
        "--output on a larger disk",
        output.string(), human_bytes(free), human_bytes(wanted));
  }
  return fmt::format("{}: {} free, checkpoints take up to {}", output.string(), human_bytes(free),
                     human_bytes(wanted));
}

/// shared_memory_problem() of the first host that has one; collective.
std::string shared_memory_anywhere(const Config& config, const RankEnvironment& ranks) {
  const bool gpu =
      config.device == Device::cuda || (config.device == Device::automatic && cuda_device_count() > 0);
  std::string mine;
  std::error_code error;
  const auto space = std::filesystem::space("/dev/shm", error);
  if (gpu && !error)
    mine = shared_memory_problem(static_cast<std::int64_t>(space.available), ranks.local_size());
  const int first = ranks.first_with(!mine.empty());
  if (first == ranks.size()) return {};
  return ranks.text_of(first, fmt::format("host {}: {}", ranks.host(), mine));
}

std::string versions_of(const Engine& engine, const RankEnvironment& ranks) {
  const std::string device = engine.identity().versions;
  return fmt::format("convoy {}, {}{}{}", CONVOY_VERSION, ranks.mpi_version(), device.empty() ? "" : ", ",
                     device);
}

/// Opens what the plans need; says what is here, needed or not.
std::string libraries_note(const PlanSet& plans, Engine& engine, const RankEnvironment& ranks) {
  for (const auto& [count, plan] : plans.training) engine.open_libraries(plan);
  for (const auto& stage : plans.later_training)
    for (const auto& [count, plan] : stage) engine.open_libraries(plan);
  for (const auto& [count, plan] : plans.evaluation) engine.open_libraries(plan);
  std::string note = "MPI " + ranks.describe_mpi();
  for (const auto& [name, description] : cuda_libraries()) note += fmt::format("\n{} {}", name, description);
  return note;
}

/// What several ranks must have alike, or each for itself; then whether they reach each other.
void check_ranks(CheckList& list, Engine& engine, const RankEnvironment& ranks) {
  list.run_together("checking map", [&] { return map_of_ranks(engine, ranks); });
  list.run_together("checking versions", [&] {
    const std::string versions = versions_of(engine, ranks);
    require_same(ranks, "versions", versions);
    return versions;
  });
  list.run_together("checking devices", [&]() -> std::string {
    require_distinct_devices(ranks.gather(engine.identity().uuid));
    return engine.identity().uuid.empty() ? "no GPUs in use" : "each rank has its own";
  });
  list.run_together("checking allreduce", [&] {
    constexpr std::int64_t bytes = std::int64_t{8} << 20;
    const double rate = time_test_sum(engine, bytes, ranks);
    return fmt::format("sums of {} over all ranks: {:.0f} MB/s", human_bytes(bytes), rate * 1e-6);
  });
}

/// Decodes pictures, each rank a share of them; collective. Throws AgreedError that names broken ones where
/// there are more than data.max_bad.
std::string look_at_pictures(const Dataset& data, const Config& config, bool all,
                             const RankEnvironment& ranks) {
  constexpr std::size_t named = 10;
  constexpr double sampling_seconds = 5;
  const std::size_t count = data.labels.size();
  std::vector<std::int32_t> samples, mine;
  if (all) {
    samples.resize(count);
    std::iota(samples.begin(), samples.end(), 0);
  } else {
    samples = samples_to_inspect(data);
  }
  all = samples.size() == count;
  for (auto i = static_cast<std::size_t>(ranks.rank()); i < samples.size();
       i += static_cast<std::size_t>(ranks.size()))
    mine.push_back(samples[i]);
  const PictureReport report =
      inspect_pictures(data, mine, static_cast<int>(bound_cores().size()), all ? 0 : sampling_seconds);
  std::array<double, 2> sums{static_cast<double>(report.looked_at()),
                             static_cast<double>(report.problems.size())};
  ranks.sum(sums);
  const auto looked_at = static_cast<std::size_t>(sums[0]), broken = static_cast<std::size_t>(sums[1]);
  const auto own = std::span(report.problems).first(std::min(report.problems.size(), named));
  std::istringstream all_named(
      fmt::format("{}", fmt::join(ranks.gather(fmt::format("{}", fmt::join(own, "\n"))), "\n")));
  std::vector<std::string> lines;
  for (std::string line; lines.size() < named && std::getline(all_named, line);)
    if (!line.empty()) lines.push_back(line);
  std::string text = fmt::format("{} of {} pictures decoded", looked_at, count);
  if (broken == 0) return text + ", none is broken" + (looked_at < count ? " (--all-images: every one)" : "");
  text += fmt::format(", {} of them broken; data.max_bad allows {} in all:\n{}", broken, config.data.max_bad,
                      fmt::join(lines, "\n"));
  if (broken > lines.size()) text += fmt::format("\nand {} more", broken - lines.size());
  if (static_cast<std::int64_t>(broken) > config.data.max_bad) throw AgreedError(text);
  return text;
}

/// Which of the network's weights model.init has; collective.
std::string init_note(const Config& config, const Graph& graph, const RankEnvironment& ranks) {
  const std::string& path = config.model.init;
  agree(ranks, [&] {
    if (ranks.is_root()) require_weights_file(path, "model.init:");
  });
  const TensorFile file = load_weights(path, ranks);
  std::string note;
  agree(ranks, [&] { note = match_weights(graph, file, path).text(); });
  return format_printable("{}: {}", path, note);
}

int check_all(const ConfigArguments& arguments, const std::string& output, bool all_images,
              const CommandContext& context) {
  const RankEnvironment& ranks = context.ranks;
  CheckList list(ranks);
  list.warn("cores", launcher_problem(ranks));
  Config config;
  if (!list.run_together("checking config", [&] {
        config = load_agreed(arguments, context);
        return fmt::format("{} ({})", config.name, arguments.path);
      })) {
    return list.conclude();
  }
  Graph graph;
  const bool has_graph = list.run("checking shapes", [&] {
    graph = build_graph(config.model);
    return fmt::format("{} operations, {} parameters", graph.nodes.size() - 1, graph.parameter_count());
  });
  if (has_graph && !config.model.init.empty())
    list.run_together("checking init", [&] { return init_note(config, graph, ranks); });
  Dataset data;
  const bool has_data = list.run_together("checking data", [&] {
    agree(ranks, [&] { data = load_dataset(config.data, config.seed); });
    require_same_data(data, ranks);
    const bool has_test = !data.test.empty();
    return fmt::format("{} training{} {} {}{} images {}", data.train.size(), has_test ? "," : " and",
                       data.validation.size(), name_of_validation(data),
                       has_test ? fmt::format(" and {} test", data.test.size()) : "", to_string(data.image));
  });
  if (has_data) list.warn("data", data.warning);
  if (has_data && has_pictures(config.data.source))
    list.run_together("checking pictures", [&] { return look_at_pictures(data, config, all_images, ranks); });
  if (has_data) {
    for (const Caution& caution : cautions(config, sample_counts(data), data.validation_is_test))
      list.warn(caution.topic, caution.text);
  }
  const bool fits = has_graph && has_data && list.run("checking fit", [&] {
    check_fit(config, data, graph);
    return fmt::format("{} classes, {} scores", data.classes, graph.classes());
  });

  // From here on a rank may wait for others over connections that fail, or for a device that hangs.
  context.watchdog.set_limits({.silence = Seconds(config.distributed.timeout), .step = patience});
  if (ranks.size() > 1)
    list.run_together("checking heartbeat", [] { return std::string("all ranks reach rank 0"); });
  if (ranks.size() > 1) list.warn("shm", shared_memory_anywhere(config, ranks));
  std::unique_ptr<Engine> engine;
  list.run_together("checking device", [&] {
    engine = make_engine_for(config, ranks);
    return engine->describe();
  });
  if (engine && fits) {
    PlanSet plans;
    const bool has_plans = list.run_together("checking batch", [&] {
      plans = make_plans(graph, config, sample_counts(data), *engine, ranks);
      const std::size_t steps = plans.training_batches.size();
      return fmt::format("{} step{} per epoch: {} images, global_batch {}", steps, steps == 1 ? "" : "s",
                         data.train.size(), config.train.global_batch);
    });
    if (has_plans) {
      list.warn("batch", plans.caution);
      list.run("checking libraries", [&] { return libraries_note(plans, *engine, ranks); });
      list.run("checking memory", [&] {
        if (const std::string problem = memory_problem(plans, config, *engine); !problem.empty())
          fail("{}", problem);
        return fmt::format("{} of {} free", human_bytes(plans.total_bytes()),
                           human_bytes(engine->free_bytes()));
      });
    }
  } else {
    list.skip("memory", "needs shapes, data and device");
  }
  list.run("checking disk", [&] {
    if (!ranks.is_root()) return std::string{};
    return disk_note(output.empty() ? "runs/" + config.name : output, graph.parameter_count(), config);
  });
  if (engine && ranks.size() > 1) check_ranks(list, *engine, ranks);
  return list.conclude();
}

}  // namespace

int run(const CommandContext& context, const CheckArguments& arguments) {
  return check_all(arguments.config, arguments.output, arguments.all_images, context);
}

}  // namespace convoy
