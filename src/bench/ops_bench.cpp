#include "src/bench/ops_bench.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "src/bench/figures.h"
#include "src/bench/single_call.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

bool is_convolution(const Call& call) {
  return std::holds_alternative<ConvForward>(call) || std::holds_alternative<ConvDgrad>(call) ||
         std::holds_alternative<ConvWgrad>(call);
}

/// The training step of one rank.
Plan step_plan(Config config, const Engine& engine, const RankEnvironment& ranks, bool all) {
  config.data.resident = DataConfig::Resident::yes;
  config.train.fusion = config.train.fusion && all;
  const int batch = config.train.global_batch;
  const PlanSet plans = make_plans(build_graph(config.model), config, {batch, 0, batch}, engine, ranks);
  return plans.training.at(batch);
}

void time_rows(std::vector<OpRow>& rows, Engine& engine, bool autotune) {
  std::vector<Plan> plans;
  ArenaSizes arenas{};
  for (const OpRow& row : rows) {
    plans.push_back(plan_of_call(row.call, row.node, engine));
    for (std::size_t i = 0; i < arena_count; ++i) arenas[i] = std::max(arenas[i], plans.back().arenas[i]);
  }
  engine.allocate(arenas);
  std::vector<int> loaded;
  for (const Plan& plan : plans) loaded.push_back(engine.load(plan));
  if (autotune) engine.tune();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].kernels = engine.kernels_of(plans[i].steps.front().call);
    fill_at_random(engine, plans[i]);
    rows[i].seconds = median(times_of(engine, loaded[i], 20, 2.0));
  }
}

void ask_for_rows(const std::filesystem::path& rival, std::vector<OpRow>& rows) {
  std::vector<std::string> requests;
  for (const OpRow& row : rows) requests.push_back(rival_request(row.call));
  const auto times = ask_rival(rival, requests);
  for (std::size_t i = 0; i < times.size(); ++i) rows[i].rival = times[i];
}

}  // namespace

std::vector<OpRow> distinct_calls(const Plan& plan, bool all) {
  std::vector<OpRow> rows;
  std::map<std::tuple<std::string, std::string, std::int64_t>, std::size_t> known;
  for (const Step& step : plan.steps) {
    if (!all && !is_convolution(step.call)) continue;
    if (std::holds_alternative<ReportStep>(step.call)) continue;  // two numbers for the host
    Call call = step.call;
    if (auto* forward = std::get_if<ConvForward>(&call); forward != nullptr && !all) forward->bias = {};
    const auto [it, fresh] = known.try_emplace({name_of(call), describe(call), bytes_of(call)}, rows.size());
    if (fresh) rows.push_back({.node = step.node, .call = std::move(call)});
    ++rows[it->second].count;
  }
  return rows;
}

OpsFigures bench_ops(const Config& config, const RankEnvironment& ranks, bool all,
                     const std::filesystem::path& rival) {
  OpsFigures figures;
  {
    const std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
    const Plan plan = step_plan(config, *engine, ranks, all);
    figures.engine = engine->describe();
    figures.operands = operands_of(plan);
    figures.rows = distinct_calls(plan, all);
    if (figures.rows.empty()) fail_usage("{}: no convolution to measure", config.model.mark.text());
    if (!rival.empty()) ask_for_rows(rival, figures.rows);  // first: it may fail, and needs memory, too
    time_rows(figures.rows, *engine, config.train.autotune);
  }
  figures.ceilings = measure_ceilings(config, figures.operands, ranks);
  for (OpRow& row : figures.rows) {
    row.limit_seconds = figures.ceilings.seconds(flops_of(row.call), bytes_of(row.call));
  }
  return figures;
}

}  // namespace convoy
