// `convoy bench ops`: a row for each distinct call of a training step.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "comm/agree.h"
#include "core/log.h"
#include "src/bench/figures.h"
#include "src/bench/ops_bench.h"
#include "src/cli/commands.h"

namespace convoy {
namespace {

using Json = nlohmann::ordered_json;

double rate_of(const OpRow& row) {
  return static_cast<double>(flops_of(row.call)) / row.seconds;
}

/// Whether a convolution has 64 channels or more on both sides; of narrower ones less is expected.
bool is_wide(const Call& call) {
  return std::visit(
      [](const auto& c) {
        if constexpr (requires { c.shape.k, c.shape.in.c; }) return std::min(c.shape.k, c.shape.in.c) >= 64;
        return false;
      },
      call);
}

struct Sums {
  double seconds = 0, limit_seconds = 0;
  double seconds_with_rival = 0, rival_seconds = 0;  ///< of the rows that the rival has too
  std::vector<double> wide_shares;                   ///< those that can be
  bool shares_are_missing = false;
};

/// Over the whole step: a row counts as often as the step has its call.
Sums sums_of(const OpsFigures& figures) {
  Sums sums;
  for (const OpRow& row : figures.rows) {
    sums.seconds += row.count * row.seconds;
    sums.limit_seconds += row.count * row.limit_seconds;
    const std::optional<double> share = share_of_limit(row.limit_seconds, row.seconds);
    if (share && is_wide(row.call)) sums.wide_shares.push_back(*share);
    if (!share) sums.shares_are_missing = true;
    if (!row.rival) continue;
    sums.seconds_with_rival += row.count * row.seconds;
    sums.rival_seconds += row.count * row.rival->seconds;
  }
  return sums;
}

Json ops_json(const Config& config, const OpsFigures& figures) {
  Json json = {{"benchmark", "ops"}, {"config", config.name}, {"engine", figures.engine}};
  json["type"] = name_of(figures.operands);
  json["global_batch"] = config.train.global_batch;
  json["ceilings"] = to_json(figures.ceilings);
  json["rows"] = Json::array();
  for (const OpRow& row : figures.rows) {
    Json entry = {{"node", row.node},
                  {"call", name_of(row.call)},
                  {"shape", describe(row.call)},
                  {"count", row.count},
                  {"flops", flops_of(row.call)},
                  {"bytes", bytes_of(row.call)},
                  {"seconds", row.seconds},
                  {"flops_per_second", rate_of(row)},
                  {"share_of_limit", to_json(share_of_limit(row.limit_seconds, row.seconds))}};
    if (!row.kernels.family.empty()) {
      entry["family"] = row.kernels.family;
      entry["tiles"] = row.kernels.tiles;
    }
    if (row.rival) {
      entry["cudnn_seconds"] = row.rival->seconds;
      entry["cudnn_algorithm"] = row.rival->algorithm;
    }
    json["rows"].push_back(entry);
  }
  const Sums sums = sums_of(figures);
  json["step_seconds"] = sums.seconds;
  json["share_of_limit"] = to_json(share_of_limit(sums.limit_seconds, sums.seconds));
  if (!sums.wide_shares.empty()) json["wide_share_of_limit"] = geometric_mean(sums.wide_shares);
  if (sums.rival_seconds > 0) json["time_over_cudnn"] = sums.seconds_with_rival / sums.rival_seconds;
  return json;
}

void print_ops(const Config& config, const OpsFigures& figures) {
  fmt::print("{}: {}, {}, batch {}\n", config.name, figures.engine, name_of(figures.operands),
             config.train.global_batch);
  fmt::print("limit: the slower of {}FLOP/s and {}B/s, measured in this run\n",
             human_rate(figures.ceilings.flops_per_second), human_rate(figures.ceilings.bytes_per_second));
  const bool rival = std::any_of(figures.rows.begin(), figures.rows.end(),
                                 [](const OpRow& row) { return row.rival.has_value(); });
  fmt::print("  {:<14} {:>2} {:<22} {:>11} {:>9} {:>6}{}  {}\n", "first in", "x", "call", "us", "TFLOP/s",
             "limit", rival ? "    cuDNN us  us/cuDNN" : "", "shape [kernels]");
  for (const OpRow& row : figures.rows) {
    fmt::print("  {:<14} {:>2} {:<22} {:>11.1f} {:>9.3f} {:>6}", row.node, row.count, name_of(row.call),
               row.seconds * 1e6, rate_of(row) * 1e-12,
               percent_text(share_of_limit(row.limit_seconds, row.seconds)));
    if (row.rival) {
      fmt::print(" {:>11.1f} {:>9.2f}", row.rival->seconds * 1e6, row.seconds / row.rival->seconds);
    } else if (rival) {
      fmt::print("{:>22}", "");
    }
    const std::string kernels = to_string(row.kernels);
    fmt::print("  {}{}\n", describe(row.call), kernels.empty() ? "" : " [" + kernels + ']');
  }
  const Sums sums = sums_of(figures);
  fmt::print("all of a step: {:.3f} ms, {} of the limit\n", sums.seconds * 1e3,
             percent_text(share_of_limit(sums.limit_seconds, sums.seconds)));
  if (sums.shares_are_missing) fmt::print("{}\n", limit_is_wrong);
  if (!sums.wide_shares.empty()) {
    fmt::print("convolutions with 64 channels or more: {:.0f} % of the limit (geometric mean of {} rows)\n",
               100 * geometric_mean(sums.wide_shares), sums.wide_shares.size());
  }
  if (sums.rival_seconds > 0) {
    fmt::print("cuDNN's best: {:.3f} ms for what takes {:.3f} ms here, {:.2f} times that\n",
               sums.rival_seconds * 1e3, sums.seconds_with_rival * 1e3,
               sums.seconds_with_rival / sums.rival_seconds);
  }
}

/// The rival asked for; without a wish cuDNN, where a GPU is measured.
std::filesystem::path choose_rival(const std::string& wish, const Config& config) {
  if (!wish.empty()) return wish == "none" ? std::filesystem::path{} : std::filesystem::path(wish);
  const bool gpu =
      config.device == Device::cuda || (config.device == Device::automatic && cuda_device_count() > 0);
  if (!gpu) return {};
  const std::filesystem::path program = cudnn_program();
  if (program.empty()) log_warn("no comparison with cuDNN: bench/convoy_cudnn is not beside this program");
  return program;
}

}  // namespace

int run(const CommandContext& context, const BenchOpsArguments& arguments) {
  if (context.ranks.size() > 1) {
    throw AgreedError("bench ops measures one device: start it without mpirun", ExitCode::usage);
  }
  const Config config = load_agreed(arguments.config, context);
  const OpsFigures figures =
      bench_ops(config, context.ranks, arguments.all, choose_rival(arguments.rival, config));
  print_ops(config, figures);
  write_report(arguments.json, ops_json(config, figures));
  return static_cast<int>(ExitCode::done);
}

}  // namespace convoy
