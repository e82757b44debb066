#include "kernels/elementwise.h"

#include <algorithm>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// Uniform in ±[0.1, 4): away from the kink at zero.
Source away_from_zero(std::int64_t count, std::uint64_t seed) {
  return {count, [=] {
            Values values = uniform(count, -3.9, 3.9, seed).values();
            for (double& value : values) value = static_cast<float>(value + (value < 0 ? -0.1 : 0.1));
            return values;
          }};
}

OpCase activation_case(Activation kind, std::int64_t count) {
  OpCase op;
  op.name = std::string(name_of(kind)) + "_" + std::to_string(count);
  const Tensor x = op.input("x", away_from_zero(count, 1));
  const Tensor y = op.result("y", count);
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", count);
  const Tensor saved = backward_needs_input(kind) ? x : y;
  op.calls = {ActivationForward{kind, 0.2f, x, y}, ActivationBackward{kind, 0.2f, saved, dy, dx}};
  if (count > 1 && count < 3000) op.gradients = {{x, dx}};
  return op;
}

/// y is x and dx is dy. For gelu, whose backward needs x, only the gradient.
OpCase in_place_case(Activation kind) {
  OpCase op;
  op.name = std::string(name_of(kind)) + "_in_place";
  const Tensor x = op.input("x", uniform(1001, -4, 4, 1));
  const Tensor dy = op.input("dy", uniform(1001, -1, 1, 2));
  if (!backward_needs_input(kind)) op.calls.emplace_back(ActivationForward{kind, 0.2f, x, x});
  op.calls.emplace_back(ActivationBackward{kind, 0.2f, x, dy, dy});
  return op;
}

/// Far from zero nothing overflows; at zero the derivative of relu is zero.
OpCase extremes_case(Activation kind) {
  OpCase op;
  op.name = std::string(name_of(kind)) + "_extremes";
  const Tensor x = op.input("x", {-1e4, -200, -50, -10, -1e-6, 0, 1e-6, 10, 50, 200, 1e4});
  const Tensor y = op.result("y", x.count);
  const Tensor dy = op.input("dy", uniform(x.count, -1, 1, 2));
  const Tensor dx = op.result("dx", x.count);
  const Tensor saved = backward_needs_input(kind) ? x : y;
  op.calls = {ActivationForward{kind, 0.2f, x, y}, ActivationBackward{kind, 0.2f, saved, dy, dx}};
  return op;
}

OpCase dropout_case(const std::string& name, std::int64_t count, float rate, std::int64_t first,
                    std::int64_t step, bool in_place = false) {
  OpCase op;
  op.name = "dropout_" + name;
  op.state.seed = 0x123456789ABCull;
  op.state.step = step;
  const Tensor x = op.input("x", uniform(count, 1, 2, 1));
  const Tensor y = in_place ? x : op.result("y", count);
  op.calls = {Dropout{rate, 3, first, x, y}};
  return op;
}

/// Forward and backward with the same mask; the mask does not depend on x, so differences are exact.
OpCase dropout_gradient_case() {
  OpCase op = dropout_case("gradient", 200, 0.4f, 6, 2);
  const Tensor x = op.variables[0].tensor, y = op.variables[1].tensor;
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x.count);
  op.calls.emplace_back(Dropout{0.4f, 3, 6, dy, dx});
  op.gradients = {{x, dx}};
  return op;
}

OpCase drop_path_case(const std::string& name, std::int64_t images, std::int64_t features, float rate,
                      std::int64_t first, std::int64_t step, bool in_place = false) {
  OpCase op;
  op.name = "drop_path_" + name;
  op.state.seed = 0x123456789ABCull;
  op.state.step = step;
  const std::int64_t count = images * features;
  const Tensor x = op.input("x", uniform(count, 1, 2, 1));
  const Tensor y = in_place ? x : op.result("y", count);
  op.calls = {DropPath{rate, 3, first, features, x, y}};
  return op;
}

/// As dropout_gradient_case.
OpCase drop_path_gradient_case() {
  OpCase op = drop_path_case("gradient", 20, 10, 0.4f, 6, 2);
  const Tensor x = op.variables[0].tensor, y = op.variables[1].tensor;
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x.count);
  op.calls.emplace_back(DropPath{0.4f, 3, 6, 10, dy, dx});
  op.gradients = {{x, dx}};
  return op;
}

enum class Alias { none, a, b };
OpCase add_case(const std::string& name, std::int64_t count, Alias alias) {
  OpCase op;
  op.name = "add_" + name;
  const Tensor a = op.input("a", uniform(count, -1, 1, 1));
  const Tensor b = op.input("b", uniform(count, -1, 1, 2));
  const Tensor y = alias == Alias::a ? a : alias == Alias::b ? b : op.result("y", count);
  op.calls = {Add{a, b, y}};
  return op;
}

std::vector<OpCase> activation_cases() {
  std::vector<OpCase> cases;
  for_each_type(Activations{}, [&]<class A>() {
    for (const std::int64_t count : {0, 1, 7, 1000, 100003}) cases.push_back(activation_case(A::kind, count));
    cases.push_back(in_place_case(A::kind));
    cases.push_back(extremes_case(A::kind));
  });
  return cases;
}

std::vector<OpCase> dropout_cases() {
  std::vector<OpCase> cases;
  cases.push_back(dropout_case("none", 0, 0.5f, 0, 0));
  cases.push_back(dropout_case("one", 1, 0.5f, 3, 0));
  cases.push_back(dropout_case("odd_start", 1003, 0.5f, 5, 7));
  cases.push_back(dropout_case("late", 517, 0.25f, (std::int64_t{1} << 33) + 2, 1000000));
  cases.push_back(dropout_case("keep_all", 100, 0.0f, 0, 1));
  cases.push_back(dropout_case("keep_few", 5000, 0.9f, 1, 1));
  cases.push_back(dropout_case("large", 100003, 0.1f, 0, 5));
  cases.push_back(dropout_case("in_place", 1003, 0.5f, 2, 7, true));
  cases.push_back(dropout_gradient_case());
  return cases;
}

std::vector<OpCase> drop_path_cases() {
  return {drop_path_case("none", 0, 12, 0.5f, 0, 0),
          drop_path_case("odd", 33, 7, 0.5f, 5, 7),
          drop_path_case("fours", 33, 12, 0.5f, 2, 7),
          drop_path_case("late", 17, 24, 0.25f, (std::int64_t{1} << 30) + 3, 1000000),
          drop_path_case("keep_all", 10, 10, 0.0f, 0, 1),
          drop_path_case("large", 64, 10000, 0.2f, 0, 5),
          drop_path_case("in_place", 33, 8, 0.5f, 2, 7, true),
          drop_path_gradient_case()};
}

std::vector<OpCase> add_cases() {
  std::vector<OpCase> cases;
  cases.push_back(add_case("none", 0, Alias::none));
  cases.push_back(add_case("odd", 1003, Alias::none));
  cases.push_back(add_case("large", 100003, Alias::none));
  cases.push_back(add_case("into_a", 77, Alias::a));
  cases.push_back(add_case("into_b", 77, Alias::b));
  return cases;
}

CONVOY_OP_TESTS(Activation, activation_cases);
CONVOY_OP_TESTS(Dropout, dropout_cases);
CONVOY_OP_TESTS(DropPath, drop_path_cases);
CONVOY_OP_TESTS(Add, add_cases);

/// y and dx are rounded once, but backward reads the rounded y. Near 1 that is off by up to half a rounding,
/// which moves tanh' = 1 - y² by a whole one and sigmoid' = y (1 - y) by half of one, while the root mean
/// squares of dx are 1/4 and 1/12: 4 and 6 roundings more.
std::vector<OpCase> activation_cases_in_16_bits() {
  return in_16_bits(activation_cases(), {"x", "y", "dy", "dx"}, 7);
}
CONVOY_STORAGE_TESTS(Activation, activation_cases_in_16_bits);

/// Each result is rounded once, and none is computed from another.
std::vector<OpCase> dropout_cases_in_16_bits() {
  return in_16_bits(dropout_cases(), {"x", "y", "dy", "dx"}, 1);
}
CONVOY_STORAGE_TESTS(Dropout, dropout_cases_in_16_bits);
std::vector<OpCase> drop_path_cases_in_16_bits() {
  return in_16_bits(drop_path_cases(), {"x", "y", "dy", "dx"}, 1);
}
CONVOY_STORAGE_TESTS(DropPath, drop_path_cases_in_16_bits);
std::vector<OpCase> add_cases_in_16_bits() {
  return in_16_bits(add_cases(), {"a", "b", "y"}, 1);
}
CONVOY_STORAGE_TESTS(Add, add_cases_in_16_bits);

Values dropped(std::int64_t count, float rate, std::int64_t first, std::int64_t step) {
  return OpRunner(dropout_case("mask", count, rate, first, step), EngineKind::reference_f64).run()[1];
}

}  // namespace

TEST(Dropout, drops_its_rate_and_scales_the_rest) {
  const std::int64_t count = 40000;
  const Values y = dropped(count, 0.25f, 0, 3), x = uniform(count, 1, 2, 1).values();
  std::int64_t zeros = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] == 0) {
      ++zeros;
    } else {
      EXPECT_DOUBLE_EQ(y[i], x[i] / 0.75);
    }
  }
  EXPECT_NEAR(static_cast<double>(zeros) / static_cast<double>(count), 0.25,
              0.01);  // 4.6 standard deviations
}

TEST(Dropout, mask_depends_on_the_place_in_the_global_batch_alone) {
  const Values whole = dropped(1000, 0.5f, 0, 3), part = dropped(900, 0.5f, 100, 3);
  for (std::size_t i = 0; i < part.size(); ++i) ASSERT_EQ(part[i] == 0, whole[i + 100] == 0) << i;
  EXPECT_NE(dropped(1000, 0.5f, 0, 4), whole) << "the next step draws another mask";
}

// What drops out of a rank's images is what drops out of these images on any other rank.
TEST(DropPath, drops_whole_images_by_their_place_in_the_global_batch) {
  const std::int64_t images = 4000, features = 3;
  const auto run = [&](std::int64_t count, std::int64_t first) {
    return OpRunner(drop_path_case("mask", count, features, 0.25f, first, 3), EngineKind::reference_f64)
        .run()[1];
  };
  const Values whole = run(images, 0), part = run(images - 101, 101);
  std::int64_t dropped_images = 0;
  for (std::size_t i = 0; i < whole.size(); i += features) {
    dropped_images += whole[i] == 0;
    EXPECT_EQ(whole[i] == 0, whole[i + 1] == 0);
    EXPECT_EQ(whole[i] == 0, whole[i + 2] == 0);
  }
  EXPECT_NEAR(static_cast<double>(dropped_images) / static_cast<double>(images), 0.25,
              0.03);  // 4.4 standard deviations
  for (std::size_t i = 0; i < part.size(); ++i) ASSERT_EQ(part[i] == 0, whole[i + 303] == 0) << i;
}

}  // namespace convoy::testing
