// The subcommands of `convoy bench`.
#pragma once

#include <nlohmann/json.hpp>

#include "src/bench/ceilings.h"
#include "src/cli/commands.h"

namespace convoy {

void add_bench_step(CLI::App& bench, CommandContext& context);
void add_bench_ops(CLI::App& bench, CommandContext& context);
void add_bench_allreduce(CLI::App& bench, CommandContext& context);

/// --json FILE
void add_json_option(CLI::App& command, std::string& path);
nlohmann::ordered_json to_json(const Ceilings& ceilings);

}  // namespace convoy
