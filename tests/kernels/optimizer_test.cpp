#include "kernels/optimizer.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// Parameters, gradients and a decay factor that changes from one run of 64 parameters to the next.
struct Block {
  Tensor parameters, gradients, decay;
};
Block declare_block(OpCase& op, std::int64_t count) {
  op.state.learning_rate = 0.05f;
  Values decay;
  for (std::int64_t i = 0; i < (count + parameter_alignment - 1) / parameter_alignment; ++i) {
    decay.push_back(i % 3 == 0 ? 0.0 : static_cast<double>(0.01f * static_cast<float>(i % 3)));
  }
  return {op.input("parameters", uniform(count, -1, 1, 1)), op.input("gradients", uniform(count, -1, 1, 2)),
          op.input("decay", decay)};
}

OpCase sgd_case(const std::string& name, std::int64_t count, float momentum, bool nesterov) {
  OpCase op;
  op.name = "sgd_" + name;
  const Block block = declare_block(op, count);
  const Tensor velocity = momentum > 0 ? op.input("velocity", uniform(count, -1, 1, 3)) : Tensor{};
  op.calls = {SgdStep{momentum, nesterov, block.parameters, block.gradients, velocity, block.decay}};
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
  op.calls = {AdamStep{0.9f, 0.999f, 1e-8f, decoupled, block.parameters, block.gradients, mean, variance,
                       block.decay}};
  // 1 - beta2^t loses digits in float while t is small.
  op.tolerance = 2e-5;
  return op;
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
  };
}

CONVOY_OP_TESTS(Optimizer, optimizer_cases);

}  // namespace
}  // namespace convoy::testing
