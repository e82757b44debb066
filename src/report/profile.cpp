#include "src/report/profile.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "src/io/atomic_file.h"
#include "src/io/json_line.h"

namespace convoy {
namespace {

using std::chrono::system_clock;

constexpr std::array<const char*, 2> stream_names = {"main", "side"};

/// Amounts of one call, or of all calls of a kind.
struct Cost {
  double seconds = 0, flops = 0, bytes = 0;
  int calls = 0;
  void add(const Cost& other) {
    seconds += other.seconds;
    flops += other.flops;
    bytes += other.bytes;
    calls += other.calls;
  }
};

double per_second(double amount, double seconds) {
  return seconds > 0 ? amount / seconds * 1e-9 : 0;
}

std::string figures(const Cost& cost, double all_seconds) {
  return fmt::format("{:>10.4f} {:>7.2f} {:>9.1f} {:>9.1f}", 1e3 * cost.seconds,
                     all_seconds > 0 ? 100 * cost.seconds / all_seconds : 0,
                     per_second(cost.flops, cost.seconds), per_second(cost.bytes, cost.seconds));
}

nlohmann::ordered_json name_event(const char* what, int rank, int stream, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", rank}, {"tid", stream}, {"args", {{"name", name}}}};
}

/// As objects with a comma between; ranks' texts are joined the same way.
std::string joined(const std::vector<std::string>& events) {
  return fmt::format("{}", fmt::join(events, ",\n"));
}

}  // namespace

bool Profiler::begin_step() {
  if (left_ == 0 || warm_up_-- > 0) return false;
  step_begin_ = system_clock::now();
  return true;
}

void Profiler::end_step(const Plan& plan, std::vector<CallTime> times) {
  check(times.size() == plan.steps.size(), "a time for every call");
  const auto begin = std::chrono::duration_cast<std::chrono::nanoseconds>(step_begin_.time_since_epoch());
  const std::chrono::duration<double> spent = system_clock::now() - step_begin_;
  steps_.push_back({&plan, begin.count(), spent.count(), std::move(times)});
  --left_;
}

std::string Profiler::table() const {
  if (steps_.empty()) return "profile: no step was timed\n";
  const Plan& plan = *steps_.front().plan;
  std::vector<Cost> costs;
  for (const Step& step : plan.steps)
    costs.push_back(
        {0, static_cast<double>(flops_of(step.call)), static_cast<double>(bytes_of(step.call)), 1});
  int count = 0;
  double step_seconds = 0;
  for (const TimedStep& step : steps_) {
    if (step.plan != &plan) continue;
    ++count;
    step_seconds += step.seconds;
    for (std::size_t i = 0; i < costs.size(); ++i)
      costs[i].seconds += step.times[i].end - step.times[i].begin;
  }
  Cost all;
  std::vector<std::pair<std::string, Cost>> kinds;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    costs[i].seconds /= count;
    all.add(costs[i]);
    const std::string kind = name_of(plan.steps[i].call);
    auto found =
        std::find_if(kinds.begin(), kinds.end(), [&](const auto& entry) { return entry.first == kind; });
    if (found == kinds.end()) found = kinds.insert(kinds.end(), {kind, {}});
    found->second.add(costs[i]);
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });

  std::size_t width = 16;
  for (const Step& step : plan.steps) width = std::max(width, step.node.size());
  constexpr const char* units = "        ms       %   GFLOP/s      GB/s";
  std::string out =
      fmt::format("profile of {}: the mean of {} steps of {:.3f} ms\n  {:<{}} {:<22} stream {}  shape\n",
                  plan.name, count, 1e3 * step_seconds / count, "node", width, "call", units);
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const Step& step = plan.steps[i];
    const auto stream = static_cast<std::size_t>(steps_.front().times[i].stream);
    out += fmt::format("  {:<{}} {:<22} {:<6} {}  {}\n", step.node, width, name_of(step.call),
                       stream_names.at(stream), figures(costs[i], all.seconds), describe(step.call));
  }
  out += fmt::format("  {:<{}} {:<22}        {}\n", "sums per kind", width, "", units);
  for (const auto& [kind, cost] : kinds)
    out += fmt::format("  {:<{}} {:<22}        {}\n", fmt::format("{} x", cost.calls), width, kind,
                       figures(cost, all.seconds));
  out += fmt::format("  {:<{}} {:<22}        {}\n", fmt::format("{} x", all.calls), width, "all calls",
                     figures(all, all.seconds));
  return out;
}

void Profiler::write_trace(const std::filesystem::path& path, const RankEnvironment& ranks) const {
  constexpr std::int64_t far = std::int64_t{1} << 62;
  const std::int64_t origin = -ranks.max(steps_.empty() ? -far : -steps_.front().begin);
  std::vector<std::string> events;
  const int rank = ranks.rank();
  events.push_back(
      to_json_line(name_event("process_name", rank, 0, fmt::format("rank {} on {}", rank, ranks.host()))));
  for (std::size_t stream = 0; stream < stream_names.size(); ++stream)
    events.push_back(name_event("thread_name", rank, static_cast<int>(stream), stream_names[stream]).dump());
  for (const TimedStep& step : steps_) {
    for (std::size_t i = 0; i < step.times.size(); ++i) {
      const CallTime& time = step.times[i];
      const Step& call = step.plan->steps[i];
      const std::string kind = name_of(call.call);
      const nlohmann::ordered_json event = {
          {"name", call.node.empty() ? kind : call.node + " " + kind},
          {"cat", kind},
          {"ph", "X"},
          {"ts", 1e-3 * static_cast<double>(step.begin - origin) + 1e6 * time.begin},
          {"dur", 1e6 * (time.end - time.begin)},
          {"pid", rank},
          {"tid", time.stream},
          {"args",
           {{"shape", describe(call.call)}, {"flops", flops_of(call.call)}, {"bytes", bytes_of(call.call)}}}};
      events.push_back(to_json_line(event));
    }
  }
  const std::vector<std::string> of_ranks = ranks.gather(joined(events));
  if (!ranks.is_root()) return;
  write_file_atomically(path,
                        "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + joined(of_ranks) + "\n]}\n");
}

}  // namespace convoy
