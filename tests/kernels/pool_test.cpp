#include "kernels/pool.h"

#include <cmath>
#include <limits>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

enum class Gradient { unchecked, checked };

OpCase max_case(const std::string& name, const PoolShape& s, Source x_values,
                Gradient gradient = Gradient::unchecked) {
  OpCase op;
  op.name = "max_" + name;
  const std::int64_t y_count = s.n * s.out().count();
  const Tensor x = op.input("x", std::move(x_values));
  const Tensor y = op.result("y", y_count);
  const Tensor argmax = op.result("argmax", y_count, DType::u8);
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x.count);
  const Tensor y_alone = op.result("y without argmax", y_count);
  op.calls = {MaxPoolForward{s, x, y, argmax}, MaxPoolBackward{s, dy, argmax, dx},
              MaxPoolForward{s, x, y_alone, {}}};
  if (gradient == Gradient::checked) op.gradients = {{x, dx}};
  return op;
}

OpCase max_case(const std::string& name, const PoolShape& s) {
  const std::int64_t count = s.n * s.in.count();
  return max_case(name, s, distinct(count, 1),
                  count > 0 && count < 3000 ? Gradient::checked : Gradient::unchecked);
}

OpCase average_case(const std::string& name, const PoolShape& s) {
  OpCase op;
  op.name = "average_" + name;
  const std::int64_t x_count = s.n * s.in.count();
  const Tensor x = op.input("x", uniform(x_count, -1, 1, 1));
  const Tensor y = op.result("y", s.n * s.out().count());
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x_count);
  op.calls = {AvgPoolForward{s, x, y}, AvgPoolBackward{s, dy, dx}};
  if (x_count > 0 && x_count < 3000) op.gradients = {{x, dx}};
  return op;
}

PoolShape square(int n, int size, int c, int kernel, int stride, int pad) {
  return {n, {1, size, size, c}, {1, kernel, kernel}, {1, stride, stride}, {0, pad, pad}};
}

PoolShape with_ceil(PoolShape s) {
  s.ceil = true;
  return s;
}
PoolShape uncounted(PoolShape s) {
  s.count_padding = false;
  return s;
}
PoolShape parts(PoolShape s, const Axes& bins) {
  s.bins = bins;
  return s;
}

/// NaN and infinities in some places, among ties.
Values special_values(std::int64_t count) {
  Values values = integers(count, 3, 5).values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 11 == 0) values[i] = std::numeric_limits<double>::quiet_NaN();
    if (i % 3 == 1) values[i] = -std::numeric_limits<double>::infinity();
  }
  return values;
}

std::vector<OpCase> pool_cases() {
  const std::vector<std::pair<std::string, PoolShape>> shapes = {
      {"halves", square(2, 6, 3, 2, 2, 0)},
      {"leftover", square(2, 7, 3, 2, 2, 0)},
      {"overlap", square(2, 7, 4, 3, 2, 1)},
      {"stride_1", square(2, 6, 3, 3, 1, 1)},
      {"gaps", square(2, 8, 3, 2, 3, 0)},
      {"one_channel", square(3, 8, 1, 2, 2, 0)},
      {"odd_channels", square(2, 6, 17, 3, 3, 1)},
      {"identity", square(2, 5, 3, 1, 1, 0)},
      {"whole_image", square(3, 7, 5, 7, 7, 0)},
      {"axes_differ", {2, {1, 9, 8, 3}, {1, 3, 2}, {1, 1, 3}, {0, 1, 0}}},
      {"volume", {2, {4, 6, 5, 3}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}}},
      {"overlapping_volume", {1, {5, 6, 7, 2}, {3, 3, 3}, {2, 1, 2}, {1, 1, 1}}},
      {"no_image", square(0, 6, 3, 2, 2, 0)},
      {"lenet", square(33, 28, 32, 2, 2, 0)},
      {"stem", square(5, 33, 65, 3, 2, 1)},
  };
  std::vector<OpCase> cases;
  for (const auto& [name, shape] : shapes) {
    cases.push_back(max_case(name, shape));
    cases.push_back(average_case(name, shape));
  }
  for (const auto& [name, shape] : std::vector<std::pair<std::string, PoolShape>>{
           {"ceil", with_ceil(square(2, 8, 5, 3, 2, 0))},
           {"ceil_padded", with_ceil(square(2, 8, 4, 3, 2, 1))},
           {"ceil_gaps", with_ceil(square(2, 8, 3, 2, 3, 1))},
           {"ceil_apart", with_ceil(square(2, 7, 17, 2, 2, 0))},
           {"ceil_larger_than_image", with_ceil(square(2, 2, 3, 3, 2, 0))},
           {"ceil_volume", with_ceil({2, {4, 6, 5, 3}, {2, 3, 2}, {3, 2, 2}, {1, 0, 0}})},
           {"ceil_stem", with_ceil(square(5, 34, 65, 3, 2, 0))}}) {
    cases.push_back(max_case(name, shape));
    cases.push_back(average_case(name, shape));
    cases.push_back(average_case(name + "_uncounted", uncounted(shape)));
  }
  cases.push_back(average_case("uncounted", uncounted(square(2, 7, 4, 3, 2, 1))));
  cases.push_back(
      average_case("uncounted_volume", uncounted({2, {5, 6, 7, 3}, {3, 3, 2}, {2, 1, 1}, {1, 1, 1}})));
  cases.push_back(average_case("adaptive", parts({2, {1, 7, 10, 5}}, {1, 3, 4})));
  cases.push_back(average_case("adaptive_more_than_pixels", parts({2, {1, 3, 2, 17}}, {1, 7, 5})));
  cases.push_back(average_case("adaptive_one_axis", parts({2, {1, 9, 8, 4}}, {1, 1, 3})));
  cases.push_back(average_case("adaptive_volume", parts({2, {5, 6, 7, 3}}, {2, 6, 3})));
  cases.push_back(average_case("adaptive_large", parts({9, {1, 13, 17, 64}}, {1, 6, 7})));
  // The first of equal values wins; a NaN wins over everything, the first NaN over later ones.
  const PoolShape overlap = square(3, 9, 5, 3, 2, 1);
  cases.push_back(max_case("ties", overlap, integers(overlap.n * overlap.in.count(), 3, 2)));
  cases.push_back(max_case("specials", overlap, special_values(overlap.n * overlap.in.count())));
  const PoolShape halves = square(2, 8, 16, 2, 2, 0);
  cases.push_back(max_case("halves_specials", halves, special_values(halves.n * halves.in.count())));
  return cases;
}

CONVOY_OP_TESTS(Pool, pool_cases);

/// Each result is rounded once, and only argmax, which is exact, is read by another call. Rounded inputs have
/// more ties.
std::vector<OpCase> pool_cases_in_16_bits() {
  return in_16_bits(pool_cases(), {"x", "y", "dy", "dx", "y without argmax"}, 1);
}
CONVOY_STORAGE_TESTS(Pool, pool_cases_in_16_bits);

/// One row of pixels.
PoolShape row_of(int pixels, int kernel, int stride, int pad) {
  return {1, {1, 1, pixels, 1}, {1, 1, kernel}, {1, 1, stride}, {0, 0, pad}};
}
Values means_of(const PoolShape& s) {
  Values x;
  for (int i = 1; i <= s.in.w; ++i) x.push_back(i);
  OpCase op;
  const Tensor from = op.input("x", x), y = op.result("y", s.out().count());
  op.calls = {AvgPoolForward{s, from, y}};
  return OpRunner(op, EngineKind::reference_f64).run()[1];
}

}  // namespace

// By hand, as PyTorch's avg_pool with ceil_mode and count_include_pad defines them.
TEST(AveragePool, CountsWhatLiesWithinImageAndPadding) {
  EXPECT_EQ(means_of(row_of(5, 2, 2, 0)), (Values{1.5, 3.5}));
  EXPECT_EQ(means_of(with_ceil(row_of(5, 2, 2, 0))), (Values{1.5, 3.5, 5}));
  EXPECT_EQ(means_of(row_of(4, 3, 2, 1)), (Values{1, 3}));
  EXPECT_EQ(means_of(uncounted(row_of(4, 3, 2, 1))), (Values{1.5, 3}));
  // The last window has the fourth pixel, one of padding, and one beyond, which never counts.
  EXPECT_EQ(means_of(with_ceil(row_of(4, 3, 2, 1))), (Values{1, 3, 2}));
  EXPECT_EQ(means_of(uncounted(with_ceil(row_of(4, 3, 2, 1)))), (Values{1.5, 3, 4}));
  // A window that would begin in the padding behind the image is dropped.
  EXPECT_EQ(with_ceil(row_of(4, 2, 3, 1)).out().w, 2);
}

TEST(AveragePool, AdaptivePartsAreWhatTheyTouch) {
  EXPECT_EQ(means_of(parts(row_of(5, 1, 1, 0), {1, 1, 3})), (Values{1.5, 3, 4.5}));
  EXPECT_EQ(means_of(parts(row_of(2, 1, 1, 0), {1, 1, 3})), (Values{1, 1.5, 2}));
  EXPECT_EQ(means_of(parts(row_of(7, 1, 1, 0), {1, 1, 1})), (Values{4}));
}

// The one rule that comparing engines cannot show: what the winner is.
TEST(MaxPool, first_winner_and_nan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double low = -std::numeric_limits<double>::infinity();
  const PoolShape s{1, {1, 1, 8, 1}, {1, 1, 2}, {1, 1, 2}, {0, 0, 0}};
  const OpCase op = max_case("winners", s, {5, 5, low, low, nan, 9, 2, nan});
  const std::vector<Values> results = OpRunner(op, EngineKind::reference_f64).run();
  EXPECT_EQ(results[2], (Values{0, 0, 0, 1}));
  EXPECT_EQ(results[1][0], 5);
  EXPECT_EQ(results[1][1], low);
  EXPECT_TRUE(std::isnan(results[1][2]));
  EXPECT_TRUE(std::isnan(results[1][3]));
}

}  // namespace convoy::testing
