#include "kernels/linear.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

OpCase linear_case(const std::string& name, const LinearShape& s, bool bias, bool check_gradients,
                   Math math = Math::fp32) {
  OpCase op;
  op.name = name;
  const std::int64_t x_count = std::int64_t{s.n} * s.c, w_count = std::int64_t{s.k} * s.c;
  const Tensor x = op.input("x", uniform(x_count, -1, 1, 1));
  const Tensor w = op.input("w", uniform(w_count, -1, 1, 2));
  const Tensor b = bias ? op.input("bias", uniform(s.k, -1, 1, 3)) : Tensor{};
  const Tensor y = op.result("y", std::int64_t{s.n} * s.k);
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x_count);
  const Tensor dw = op.result("dw", w_count);
  op.calls = {LinearForward{s, x, w, b, y, math}, LinearDgrad{s, dy, w, dx, math},
              LinearWgrad{s, x, dy, dw, math}};
  if (check_gradients) op.gradients = {{x, dx}, {w, dw}};
  if (bias) {
    const Tensor db = op.result("db", s.k);
    op.calls.emplace_back(BiasGrad{s.n, s.k, dy, db});
    if (check_gradients) op.gradients.emplace_back(b, db);
  }
  return op;
}

std::vector<OpCase> linear_cases() {
  return {
      linear_case("one", {1, 1, 1}, true, true),
      linear_case("odd", {3, 5, 7}, true, true),
      linear_case("no_bias", {4, 6, 3}, false, true),
      linear_case("one_row", {1, 33, 9}, true, true),
      linear_case("no_row", {0, 4, 3}, true, false),
      linear_case("no_row_wide", {0, 4, 100}, true, false),
      linear_case("one_output", {17, 40, 1}, true, true),
      linear_case("tile_and_one", {129, 65, 33}, true, false),
      linear_case("deep", {7, 3001, 3}, true, false),
      linear_case("lenet_first", {65, 3136, 128}, true, false),
      linear_case("lenet_last", {128, 128, 10}, true, false),
      linear_case("wide", {5, 31, 1000}, true, false),
  };
}

CONVOY_OP_TESTS(Linear, linear_cases);

/// y and dx are rounded once, wide layers' y a second time: when the bias comes to the rounded product.
std::vector<OpCase> linear_cases_in_16_bits() {
  return in_16_bits(linear_cases(), {"x", "w", "y", "dy", "dx"}, 2);
}
CONVOY_STORAGE_TESTS(Linear, linear_cases_in_16_bits);

/// cuBLAS chooses how operands become TF32: cut off, each is off by up to 2^-10 and a product by 2e-3.
std::vector<OpCase> tf32_linear_cases() {
  std::vector<OpCase> cases = {
      linear_case("tf32_no_row", {0, 4, 100}, true, false, Math::tf32),
      linear_case("tf32_odd", {65, 129, 77}, true, false, Math::tf32),
      linear_case("tf32_narrow", {128, 128, 10}, true, false, Math::tf32),
      linear_case("tf32_lenet_first", {65, 3136, 128}, true, false, Math::tf32),
      linear_case("tf32_wide", {33, 512, 1000}, false, false, Math::tf32),
  };
  for (OpCase& op : cases) op.tolerance = 3e-3;
  return cases;
}
INSTANTIATE_TEST_SUITE_P(LinearTf32, OpTest, ::testing::ValuesIn(tf32_linear_cases()),
                         [](const auto& instance) { return instance.param.name; });

OpCase bias_case(const std::string& name, std::int64_t rows, int c) {
  OpCase op;
  op.name = name;
  const Tensor dy = op.input("dy", uniform(rows * c, -1, 1, 4));
  op.calls = {BiasGrad{rows, c, dy, op.result("db", c)}};
  return op;
}

std::vector<OpCase> bias_cases() {
  return {
      bias_case("no_row", 0, 5),     bias_case("one", 1, 1),       bias_case("one_channel", 10007, 1),
      bias_case("three", 9999, 3),   bias_case("tall", 100003, 8), bias_case("odd", 257, 129),
      bias_case("one_row", 1, 1000), bias_case("square", 64, 64),
  };
}

INSTANTIATE_TEST_SUITE_P(Bias, OpTest, ::testing::ValuesIn(bias_cases()),
                         [](const auto& instance) { return instance.param.name; });

/// db is a float: nothing is rounded.
std::vector<OpCase> bias_cases_in_16_bits() {
  return in_16_bits(bias_cases(), {"dy"}, 0);
}
CONVOY_STORAGE_TESTS(Bias, bias_cases_in_16_bits);

}  // namespace
}  // namespace convoy::testing
