// What commands do with their context.
#include "comm/agree.h"
#include "core/log.h"
#include "src/cli/commands.h"
#include "src/config/overrides.h"
#include "src/session/rank_checks.h"

namespace convoy {

void watch(const CommandContext& context, const DistributedConfig& limits) {
  context.watchdog.set_limits({Seconds(limits.timeout), Seconds(limits.step_timeout)});
}

Config load_agreed(const ConfigArguments& arguments, const CommandContext& context) {
  const RankEnvironment& ranks = context.ranks;
  ranks.activity().begin("reading the configuration");
  Config config;
  std::vector<std::string> notes;
  agree(ranks, [&] { config = load_config(arguments.path, arguments.overrides, notes); });
  require_same_config(config, ranks);
  watch(context, config.distributed);
  if (ranks.is_root())
    for (const std::string& note : notes) log_info("{}", note);
  return config;
}

}  // namespace convoy
