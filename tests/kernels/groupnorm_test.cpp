#include "kernels/groupnorm.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

OpCase groupnorm_case(const std::string& name, const GroupNormShape& s, double mean_of_x = 0.3,
                      double tolerance = 1e-5) {
  OpCase op;
  op.name = name;
  op.tolerance = tolerance;
  const std::int64_t moments = s.images * s.groups;
  const Tensor x = op.input("x", uniform(s.count(), mean_of_x - 1, mean_of_x + 1, 1));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 2));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 3));
  const Tensor mean = op.result("mean", moments), inv_std = op.result("inv_std", moments);
  const Tensor y = op.result("y", s.count());
  const Tensor dy = op.project(y, "dy");
  const Tensor sums = op.result("sums", 2 * moments);
  const Tensor dgamma = op.result("dgamma", s.c), dbeta = op.result("dbeta", s.c);
  const Tensor dx = op.result("dx", s.count());
  op.calls = {GroupNormStatistics{s, x, mean, inv_std}, GroupNormForward{s, x, mean, inv_std, gamma, beta, y},
              GroupNormReduce{s, x, dy, mean, inv_std, gamma, sums, dgamma, dbeta},
              GroupNormBackward{s, x, dy, mean, inv_std, gamma, sums, dx}};
  if (s.count() > 0 && s.count() < 3000) op.gradients = {{x, dx}, {gamma, dgamma}, {beta, dbeta}};
  return op;
}

std::vector<OpCase> groupnorm_cases() {
  return {groupnorm_case("one_group", {3, 25, 6, 1}),
          groupnorm_case("groups", {3, 25, 6, 3}),
          groupnorm_case("as_many_as_channels", {3, 25, 5, 5}),
          groupnorm_case("flat", {7, 1, 12, 2}),
          groupnorm_case("packs_across_groups", {2, 9, 24, 8}),
          groupnorm_case("eights", {4, 49, 32, 4}),
          groupnorm_case("wide_groups", {2, 30, 528, 2}),
          groupnorm_case("large_epsilon", {2, 16, 8, 2, 0.5f}),
          groupnorm_case("no_image", {0, 16, 8, 2}),
          groupnorm_case("large_images", {2, 3137, 64, 32}),
          groupnorm_case("many_images", {150, 49, 64, 32}),
          groupnorm_case("mean_far_from_zero", {3, 400, 32, 8}, 100.0, 1e-4)};
}
CONVOY_OP_TESTS(GroupNorm, groupnorm_cases);

/// y and dx are rounded once, and no other call reads them.
std::vector<OpCase> groupnorm_cases_in_16_bits() {
  return in_16_bits(groupnorm_cases(), {"x", "y", "dy", "dx"}, 1);
}
CONVOY_STORAGE_TESTS(GroupNorm, groupnorm_cases_in_16_bits);

}  // namespace
}  // namespace convoy::testing
