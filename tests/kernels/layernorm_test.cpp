#include "kernels/layernorm.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

OpCase layernorm_case(const std::string& name, const LayerNormShape& s, double mean_of_x = 0.3,
                      double tolerance = 1e-5) {
  OpCase op;
  op.name = name;
  op.tolerance = tolerance;
  const Tensor x = op.input("x", uniform(s.count(), mean_of_x - 1, mean_of_x + 1, 1));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 2));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 3));
  const Tensor y = op.result("y", s.count());
  const Tensor mean = op.result("mean", s.rows), inv_std = op.result("inv_std", s.rows);
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", s.count());
  const Tensor dgamma = op.result("dgamma", s.c), dbeta = op.result("dbeta", s.c);
  op.calls = {LayerNormForward{s, x, gamma, beta, y, mean, inv_std},
              LayerNormWgrad{s, x, dy, mean, inv_std, dgamma, dbeta},
              LayerNormBackward{s, x, dy, gamma, mean, inv_std, dx}};
  if (s.count() > 0 && s.count() < 3000) op.gradients = {{x, dx}, {gamma, dgamma}, {beta, dbeta}};
  return op;
}

/// Evaluation and recomputation leave out the moments.
OpCase without_moments_case() {
  OpCase op;
  op.name = "without_moments";
  const LayerNormShape s{50, 24};
  const Tensor x = op.input("x", uniform(s.count(), -1, 1, 1));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 2));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 3));
  const Tensor y = op.result("y", s.count());
  op.calls = {LayerNormForward{s, x, gamma, beta, y, {}, {}}};
  return op;
}

// Widths: below and above what a part of a warp, a warp's registers and a lane's packs hold, in each type.
std::vector<OpCase> layernorm_cases() {
  std::vector<OpCase> cases{layernorm_case("odd", {33, 7}),
                            layernorm_case("three_channels", {9, 3}),
                            layernorm_case("large_epsilon", {20, 12, 0.5f}),
                            layernorm_case("no_rows", {0, 16}),
                            layernorm_case("mean_far_from_zero", {40, 96}, 100.0, 1e-4),
                            layernorm_case("many_rows", {40003, 24}),
                            without_moments_case()};
  for (const int c : {8, 24, 32, 60, 64, 96, 128, 160, 192, 256, 384, 512, 768, 1000, 1001, 1024, 1536, 4104})
    cases.push_back(layernorm_case("width_" + std::to_string(c), {c < 100 ? 29 : 301, c}));
  return cases;
}
CONVOY_OP_TESTS(LayerNorm, layernorm_cases);

/// y and dx are rounded once, and no other call reads them.
std::vector<OpCase> layernorm_cases_in_16_bits() {
  return in_16_bits(layernorm_cases(), {"x", "y", "dy", "dx"}, 1);
}
CONVOY_STORAGE_TESTS(LayerNorm, layernorm_cases_in_16_bits);

}  // namespace
}  // namespace convoy::testing
