#include "tests/kernels/op_case.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

std::vector<OpCase> copy_cases() {
  std::vector<OpCase> cases;
  for (const std::int64_t count : {0, 1, (1 << 20) + 1}) {  // the last: two threads, an odd end
    OpCase op;
    op.name = fmt::format("Of{}", count);
    const Tensor from = op.input("from", integers(count, 255, 1), DType::u8);
    op.calls = {Copy{from, op.result("to", count, DType::u8)}};
    cases.push_back(std::move(op));
  }
  return cases;
}
CONVOY_OP_TESTS(Copy, copy_cases);

TEST(MultiplyAdd, ChainsOnTheCpuAreAsLongAsTheySay) {
  const auto engine = make_engine(EngineKind::cpu, ranks());
  MultiplyAdd call;
  call.chains = 16 * multiply_add_chains;
  call.length = 3 * multiply_add_length;
  call.out = {Arena::activations, DType::f32, 0, 1};
  Plan plan;
  plan.steps.push_back({call, "probe"});
  plan.arenas[static_cast<std::size_t>(Arena::activations)] = 64;
  engine->allocate(plan.arenas);
  engine->run(engine->load(plan), {});
  float out = 0;
  engine->read(call.out, &out);
  EXPECT_EQ(out, 0.5f * 0.25f * static_cast<float>(call.length));
}

}  // namespace
}  // namespace convoy::testing
