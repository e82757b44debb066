#include "kernels/optimizer.h"

#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "core/ceil_div.h"
#include "kernels/loss_scale.h"
#include "tests/kernels/op_case.h"
#include "tests/rules.h"

namespace convoy::testing {
namespace {

/// Parameters, gradients and a decay factor that changes from one run of 64 parameters to the next.
struct Block {
  Tensor parameters, gradients, decay;
};
Block declare_block(OpCase& op, std::int64_t count) {
  op.state.learning_rate = 0.05f;
  Values decay;
  for (std::int64_t i = 0; i < ceil_div(count, parameter_alignment); ++i) {
    decay.push_back(i % 3 == 0 ? 0.0 : static_cast<double>(0.01f * static_cast<float>(i % 3)));
  }
  return {op.input("parameters", uniform(count, -1, 1, 1)), op.input("gradients", uniform(count, -1, 1, 2)),
          op.input("decay", decay)};
}

OpCase sgd_case(const std::string& name, std::int64_t count, float momentum, bool nesterov) {
  OpCase op;
  op.name = "sgd_" + name;
  const Block block = declare_block(op, count);
  std::vector<Tensor> moments;
  if (momentum > 0) moments = {op.input("velocity", uniform(count, -1, 1, 3))};
  op.calls = {
      OptimizerStep{Sgd{momentum, nesterov}, block.parameters, block.gradients, moments, block.decay}};
  return op;
}

OpCase adam_case(const std::string& name, std::int64_t count, bool decoupled, std::int64_t step) {
  OpCase op;
  op.name = "adam_" + name;
  op.state.step = step;
  const Block block = declare_block(op, count);
  const bool first = step == 0;
  const Tensor mean = op.input("mean", uniform(count, first ? 0 : -1, first ? 0 : 1, 3));
  const Tensor variance = op.input("variance", uniform(count, 0, first ? 0 : 1, 4));
  op.calls = {OptimizerStep{
      Adam{.decoupled = decoupled}, block.parameters, block.gradients, {mean, variance}, block.decay}};
  // 1 - beta2^t loses digits in float while t is small.
  op.tolerance = 2e-5;
  return op;
}

/// Three steps of any rule. Moments begin at zero, so that they are what the rule itself makes of them.
OpCase rule_case(const NamedRule& rule, const std::string& name, std::int64_t count) {
  OpCase op;
  op.name = rule.name + "_steps_" + name;
  op.tolerance = 2e-5;
  const Block block = declare_block(op, count);
  std::vector<Tensor> moments;
  for (const char* moment : moments_of(rule.rule))
    moments.push_back(op.input(moment, uniform(count, 0, 0, 3)));
  const OptimizerStep step{rule.rule, block.parameters, block.gradients, moments, block.decay};
  op.calls = {step, step, step};
  for (const int i : {1, 2}) {
    const auto seed = static_cast<std::uint64_t>(i + 4);
    std::get<OptimizerStep>(op.calls[static_cast<std::size_t>(i)]).gradients =
        op.input(fmt::format("gradients {}", i), uniform(count, -1, 1, seed));
  }
  return op;
}

/// Runs of parameters of three learning rates, which began to train two steps before this one.
OpCase grouped(OpCase op, const std::string& name) {
  op.name += "_" + name;
  op.state.step = 7;
  Values factors;
  for (std::int64_t i = 0; i < ceil_div(op.variables[0].tensor.count, parameter_alignment); ++i)
    factors.push_back(i % 4 == 0 ? 10.0 : i % 4 == 1 ? 0.5 : 1.0);
  const Tensor rates = op.input("rates", factors);
  for (Call& call : op.calls) {
    auto& step = std::get<OptimizerStep>(call);
    step.rates = rates, step.first_step = 5;
  }
  return op;
}

OpCase average_case(const std::string& name, std::int64_t count) {
  OpCase op;
  op.name = "average_" + name;
  const Tensor parameters = op.input("parameters", uniform(count, -1, 1, 1));
  op.calls = {AverageWeights{0.9f, parameters, op.input("average", uniform(count, -1, 1, 2))}};
  return op;
}

/// With a compute copy, and a loss scale in the given state.
OpCase mixed(OpCase op, const std::string& name, bool skip, DType compute_weights = DType::f16) {
  op.name += "_" + name;
  const std::int64_t count = op.variables[0].tensor.count;
  const Tensor copy =
      op.input("compute_weights", rounded_to(compute_weights, uniform(count, -1, 1, 9)), compute_weights);
  const Tensor state = op.input("loss scale", {1024, 1.0 / 512, skip ? 1.0 : 0.0, 3, 2, 0.5});
  for (Call& each : op.calls) {
    std::visit(
        [&](auto& call) {
          if constexpr (requires { call.compute_weights; })
            call.compute_weights = copy, call.loss_scale = state;
        },
        each);
  }
  op.storage_tolerance = compute_weights == DType::f16 ? 1.05 * 0x1p-11 : 1.05 * 0x1p-8;
  return op;
}

OpCase check_case(const std::string& name, Source gradients, double scale, double good_steps,
                  double tolerance = 1e-5) {
  OpCase op;
  op.name = "check_" + name;
  op.tolerance = tolerance;
  const Tensor g = op.input("gradients", std::move(gradients));
  op.calls = {CheckGradients{g, op.input("loss scale", {scale, 7, 7, good_steps, 5, 7})}};
  return op;
}

OpCase fixed_case(const std::string& name, Source gradients, loss_scale::Rules rules) {
  OpCase op = check_case(name, std::move(gradients), 1, 3);
  std::get<CheckGradients>(op.calls[0]).rules = rules;
  return op;
}

Source with_one(std::int64_t count, double value) {
  Values values = uniform(count, -1, 1, 1).values();
  values[static_cast<std::size_t>(count) - 2] = value;
  return values;
}

std::vector<OpCase> rule_cases() {
  std::vector<OpCase> cases;
  for (const NamedRule& rule : all_named_rules()) {
    for (const std::int64_t count : {0, 64, 64 * 1001})
      cases.push_back(rule_case(rule, fmt::to_string(count), count));
    cases.push_back(mixed(rule_case(rule, "mixed", 640), "applied", false));
    cases.push_back(mixed(rule_case(rule, "mixed", 640), "skipped", true));
    for (const std::int64_t count : {64, 64 * 101})
      cases.push_back(grouped(rule_case(rule, fmt::to_string(count), count), "grouped"));
    cases.push_back(mixed(grouped(rule_case(rule, "grouped", 640), "and"), "mixed", false));
  }
  return cases;
}

std::vector<OpCase> optimizer_cases() {
  return {
      sgd_case("plain", 640, 0, false),
      sgd_case("momentum", 640, 0.9f, false),
      sgd_case("nesterov", 640, 0.9f, true),
      sgd_case("one_run", 64, 0.9f, true),
      sgd_case("none", 0, 0.9f, false),
      sgd_case("large", 64 * 1001, 0.9f, true),
      sgd_case("large_plain", 64 * 1001, 0, false),
      adam_case("first_step", 640, false, 0),
      adam_case("late_step", 640, false, 999),
      adam_case("decoupled_first_step", 640, true, 0),
      adam_case("decoupled_late_step", 640, true, 9),
      adam_case("none", 0, false, 0),
      adam_case("large", 64 * 1001, true, 3),
      mixed(sgd_case("mixed", 64 * 101, 0.9f, true), "applied", false),
      mixed(sgd_case("mixed", 64 * 101, 0.9f, true), "skipped", true),
      mixed(sgd_case("mixed_bf16", 640, 0, false), "applied", false, DType::bf16),
      mixed(adam_case("mixed", 640, true, 9), "applied", false),
      mixed(adam_case("mixed", 640, false, 9), "skipped", true),
      check_case("finite", uniform(64 * 1001, -1, 1, 1), 1024, 3),
      check_case("few", uniform(3, -1, 1, 1), 1024, 3),
      check_case("none", Values{}, 1024, 3),
      check_case("grows", uniform(640, -1, 1, 1), 1024, loss_scale::growth_interval - 1),
      check_case("grows_no_further", uniform(640, -1, 1, 1), loss_scale::largest,
                 loss_scale::growth_interval - 1),
      check_case("infinity", with_one(64 * 1001, HUGE_VAL), 1024, 3),
      check_case("nan", with_one(640, std::numeric_limits<double>::quiet_NaN()), 1024, 3),
      check_case("shrinks_no_further", with_one(640, -HUGE_VAL), loss_scale::smallest, 3),
      fixed_case("clips", uniform(640, -1, 1, 1), {false, false, 0.5f}),
      fixed_case("clips_nothing", uniform(640, -1, 1, 1), {false, false, 500.0f}),
      fixed_case("skips", with_one(640, HUGE_VAL), {false, true, 0}),
      fixed_case("spoils", with_one(640, HUGE_VAL), {false, false, 0.5f}),
      average_case("plain", 640),
      average_case("none", 0),
      average_case("large", 64 * 1001),
      mixed(average_case("mixed", 64 * 101), "applied", false),
      mixed(average_case("mixed", 640), "skipped", true),
  };
}

CONVOY_OP_TESTS(Optimizer, optimizer_cases);
CONVOY_OP_TESTS(OptimizerRules, rule_cases);

}  // namespace
}  // namespace convoy::testing
