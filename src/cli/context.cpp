// What commands do with their context.
#include "comm/agree.h"
#include "core/log.h"
#include "src/cli/commands.h"
#include "src/config/class_outputs.h"
#include "src/config/overrides.h"
#include "src/data/recognise.h"
#include "src/data/source_info.h"
#include "src/session/rank_checks.h"

namespace convoy {
namespace {

/// Of the data set; where its files are not there, as for a plan on another machine, ImageNet's.
int classes_of(const DataConfig& data, std::vector<std::string>& notes) {
  constexpr int usual = 1000;
  try {
    return source_info(data).classes;
  } catch (const Error& error) {
    notes.push_back(fmt::format("{} classes are assumed, since the data set cannot be looked at: {}", usual,
                                error.what()));
    return usual;
  }
}

}  // namespace

void watch(const CommandContext& context, const DistributedConfig& limits) {
  context.watchdog.set_limits({Seconds(limits.timeout), Seconds(limits.step_timeout)});
}

Config load_agreed(const ConfigArguments& arguments, const CommandContext& context) {
  const RankEnvironment& ranks = context.ranks;
  ranks.activity().begin("reading the configuration");
  Config config;
  std::vector<std::string> notes;
  agree(ranks, [&] {
    config = load_config(arguments.path, arguments.overrides, notes, find_data);
    if (wants_classes(config.model)) fill_in_classes(config.model, classes_of(config.data, notes));
  });
  require_same_config(config, ranks);
  watch(context, config.distributed);
  if (ranks.is_root())
    for (const std::string& note : notes) log_info("{}", note);
  return config;
}

}  // namespace convoy
