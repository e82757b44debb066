#include "kernels/fold.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

OpCase fold_case(const std::string& name, std::int64_t count, bool in_place) {
  OpCase op;
  op.name = name;
  const Tensor a = op.input("a", uniform(count, -1, 1, 1)), b = op.input("b", uniform(count, -1, 1, 2));
  op.calls = {Fold{a, b, in_place ? a : op.result("y", count)}};
  return op;
}

std::vector<OpCase> fold_cases() {
  return {fold_case("empty", 0, false), fold_case("odd", 1003, false), fold_case("in_place", 1003, true)};
}
INSTANTIATE_TEST_SUITE_P(Fold, OpTest, ::testing::ValuesIn(fold_cases()),
                         [](const auto& instance) { return instance.param.name; });

TEST(Fold, adds) {
  OpCase op;
  const Tensor a = op.input("a", {1, 2, 3}), b = op.input("b", {10, 20, 40}), y = op.result("y", 3);
  op.calls = {Fold{a, b, y}};
  EXPECT_EQ(OpRunner(op, EngineKind::reference_f64).run()[2], (Values{11, 22, 43}));
}

}  // namespace
}  // namespace convoy::testing
