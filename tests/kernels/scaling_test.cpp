#include "kernels/scaling.h"

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// Forward, both gradients. `real`: the factors and their gradient have the engine's real type, as
/// parameters.
OpCase scale_case(const std::string& name, const ScaleShape& s, bool real = false) {
  OpCase op;
  op.name = name;
  const std::int64_t factors = s.images * s.c;
  const Tensor x = op.input("x", uniform(s.count(), -1, 1, 1));
  const Tensor f = op.input(real ? "weight" : "factors", uniform(factors, 0.2, 1, 2));
  const Tensor y = op.result("y", s.count());
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", s.count());
  const Tensor df = op.result(real ? "dweight" : "dfactors", factors);
  op.calls = {ScalePixels{s, x, f, y}, ScalePixels{s, dy, f, dx}, ScaleGradient{s, dy, x, df}};
  if (s.count() > 0 && s.count() < 3000) op.gradients = {{x, dx}, {f, df}};
  return op;
}

std::vector<OpCase> scale_cases() {
  return {scale_case("odd", {3, 25, 7}),
          scale_case("fours", {2, 9, 12}),
          scale_case("eights", {5, 49, 16}),
          scale_case("one_pixel", {300, 1, 5}),
          scale_case("one_channel", {4, 30, 1}),
          scale_case("no_image", {0, 25, 8}),
          scale_case("no_pixels", {1, 0, 8}),
          scale_case("large_images", {3, 3137, 24}),
          scale_case("many_images", {130, 196, 40}),
          scale_case("many_channels", {2, 200, 1032}),
          scale_case("weight_odd", {1, 75, 7}, true),
          scale_case("weight_eights", {1, 20001, 96}, true)};
}
CONVOY_OP_TESTS(Scale, scale_cases);

/// Each result is rounded once, and none is computed from another.
std::vector<OpCase> scale_cases_in_16_bits() {
  return in_16_bits(scale_cases(), {"x", "factors", "y", "dy", "dx", "dfactors"}, 1);
}
CONVOY_STORAGE_TESTS(Scale, scale_cases_in_16_bits);

}  // namespace
}  // namespace convoy::testing
