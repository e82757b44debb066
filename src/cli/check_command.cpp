// `convoy check`: everything that can fail before the first step, all of it said at once.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>

#include "comm/agree.h"
#include "src/cli/commands.h"
#include "src/config/config.h"
#include "src/train/setup.h"

namespace convoy {
namespace {

/// Runs checks on all ranks, prints a verdict for each and remembers the worst.
class CheckList {
 public:
  explicit CheckList(const RankEnvironment& ranks) : ranks_(ranks) {}

  /// `work` returns what to say when all is well. Returns whether it was.
  bool run(const char* what, const std::function<std::string()>& work) {
    std::string note;
    try {
      agree(ranks_, [&] { note = work(); });
      say("ok  ", what, note);
      return true;
    } catch (const Error& error) {
      say("FAIL", what, error.what());
      worst_ = std::max(worst_, static_cast<int>(error.code()));
      return false;
    }
  }
  void skip(const char* what, const char* why) const { say("skip", what, why); }
  int exit_code() const { return worst_; }

 private:
  void say(const char* verdict, const char* what, const std::string& note) const {
    if (ranks_.is_root()) fmt::print("{}  {:<10} {}\n", verdict, what, note);
  }
  const RankEnvironment& ranks_;
  int worst_ = 0;
};

/// Looks at the nearest folder above `output` that exists and leaves nothing behind.
std::string disk_note(const std::filesystem::path& output, std::int64_t parameters,
                      const CheckpointConfig& checkpoint) {
  std::filesystem::path folder = std::filesystem::absolute(output);
  while (!std::filesystem::exists(folder)) folder = folder.parent_path();
  if (!std::filesystem::is_directory(folder))
    fail("{}: {} is not a folder", output.string(), folder.string());
  if (::access(folder.c_str(), W_OK) != 0) fail("{}: cannot write to {}", output.string(), folder.string());
  const auto free = static_cast<std::int64_t>(std::filesystem::space(folder).available);
  constexpr std::int64_t blocks = 3;  // parameters and up to two moments
  const std::int64_t wanted = blocks * parameters * size_of(DType::f32) * (checkpoint.keep + 1);
  if (free < wanted)
    fail("{}: {} free, checkpoints want {}", output.string(), human_bytes(free), human_bytes(wanted));
  return fmt::format("{}: {} free", output.string(), human_bytes(free));
}

int check_all(const ConfigArguments& arguments, const std::string& output, const RankEnvironment& ranks) {
  CheckList list(ranks);
  Config config;
  if (!list.run("config", [&] {
        config = load_config(arguments.path, arguments.overrides);
        return fmt::format("{} ({})", config.name, arguments.path);
      })) {
    return list.exit_code();
  }
  Graph graph;
  const bool has_graph = list.run("shapes", [&] {
    graph = build_graph(config.model);
    return fmt::format("{} layers' nodes, {} parameters", graph.nodes.size() - 1, graph.parameter_count());
  });
  Dataset data;
  const bool has_data = list.run("data", [&] {
    data = load_dataset(config.data, config.seed);
    return fmt::format("{} training and {} validation images {}", data.train.size(), data.validation.size(),
                       to_string(data.image));
  });
  const bool fits = has_graph && has_data && list.run("fit", [&] {
    check_fit(config, data, graph);
    return fmt::format("{} classes, {} scores", data.classes, graph.classes());
  });

  std::unique_ptr<Engine> engine;
  try {
    engine = make_engine_for(config, ranks);  // agrees by itself
  } catch (const AgreedError& error) {        // any other is one rank's: the rest still wait for it
    list.run("device", [&]() -> std::string { throw Error(error); });
  }
  if (engine) list.run("device", [&] { return engine->describe(); });
  if (engine && fits) {
    PlanSet plans;
    try {
      plans = make_plans(graph, config, sample_counts(data), *engine, ranks);
      list.run("memory", [&] {
        if (const std::string problem = memory_problem(plans, config, *engine); !problem.empty())
          fail("{}", problem);
        return fmt::format("{} of {} free", human_bytes(plans.total_bytes()),
                           human_bytes(engine->free_bytes()));
      });
    } catch (const AgreedError& error) {
      list.run("batch", [&]() -> std::string { throw Error(error); });
    }
  } else {
    list.skip("memory", "needs shapes, data and device");
  }
  list.run("disk", [&] {
    if (!ranks.is_root()) return std::string{};
    return disk_note(output.empty() ? "runs/" + config.name : output, graph.parameter_count(),
                     config.checkpoint);
  });
  return list.exit_code();
}

}  // namespace

int run(const CommandContext& context, const CheckArguments& arguments) {
  return check_all(arguments.config, arguments.output, context.ranks);
}

}  // namespace convoy
