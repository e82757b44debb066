#include "src/bench/ceilings.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "comm/agree.h"
#include "src/bench/single_call.h"
#include "src/session/setup.h"

namespace convoy {
namespace {

constexpr std::int64_t copied_bytes = std::int64_t{256} << 20;  // more than any cache holds
constexpr double long_enough = 5e-3;                            // seconds; starting up no longer counts

/// A ceiling is no average.
double fastest(Engine& engine, int plan) {
  const std::vector<double> seconds = times_of(engine, plan, 10, 0.3);
  return *std::min_element(seconds.begin(), seconds.end());
}

/// Multiply-adds per second: grows the number of chains until a run is long, and takes the best rate seen.
double measure_flops(Engine& engine, const Operands& operands) {
  constexpr std::int64_t smallest = 8 * multiply_add_chains, largest = smallest << 12;
  double best = 0, seconds = 0;
  for (std::int64_t chains = smallest; chains <= largest && seconds < long_enough; chains *= 4) {
    MultiplyAdd call;
    call.arithmetic = arithmetic_of(operands.type, operands.math);
    call.chains = chains;
    call.length = 16 * multiply_add_length;
    call.out = {Arena::unplaced, engine.real(), 0, 1};
    seconds = fastest(engine, engine.load(plan_of_call(call, "ceiling", engine)));
    best = std::max(best, static_cast<double>(call.flops()) / seconds);
  }
  return best;
}

}  // namespace

double Ceilings::seconds(std::int64_t flops, std::int64_t bytes) const {
  return std::max(static_cast<double>(flops) / flops_per_second,
                  static_cast<double>(bytes) / bytes_per_second);
}

double Ceilings::seconds(const Plan& plan) const {
  double sum = 0;
  for (const Step& step : plan.steps) sum += seconds(flops_of(step.call), bytes_of(step.call));
  return sum;
}

Operands operands_of(const Plan& plan) {
  std::optional<Operands> found;
  const auto look = [&]<class C>(const C& call) {
    if constexpr (requires { call.math, call.x; }) {
      found = {call.x.dtype, call.math};
    } else if constexpr (requires { call.plain.math, call.plain.x; }) {
      found = {call.plain.x.dtype, call.plain.math};
    }
  };
  for (const Step& step : plan.steps) {
    std::visit(look, step.call);
    if (found) return *found;
  }
  return {};
}

const char* name_of(const Operands& operands) {
  return operands.math == Math::tf32 ? "tf32" : name_of(operands.type);
}

Ceilings measure_ceilings(const Config& config, const Operands& operands, const RankEnvironment& ranks) {
  const std::unique_ptr<Engine> engine = make_engine_for(config, ranks);
  Ceilings ceilings;
  agree(ranks, [&] {
    const Tensor from{Arena::unplaced, DType::u8, 0, copied_bytes};
    const Tensor to{Arena::unplaced, DType::u8, 1, copied_bytes};
    const Plan copy = plan_of_call(Copy{from, to}, "ceiling", *engine);
    engine->allocate(copy.arenas);  // the other probe's single value fits as well
    ceilings.flops_per_second = measure_flops(*engine, operands);
    const double seconds = fastest(*engine, engine->load(copy));
    ceilings.bytes_per_second = static_cast<double>(bytes_of(copy.steps.front().call)) / seconds;
  });
  return ceilings;
}

}  // namespace convoy
