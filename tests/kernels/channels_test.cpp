#include "kernels/channels.h"

#include <numeric>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// Parts of so many channels side by side and, for backward, slices of the result; part `absent` is zeros.
OpCase concat_case(const std::string& name, std::int64_t rows, const std::vector<int>& c, int absent = -1) {
  OpCase op;
  op.name = "concat_" + name;
  const int total = std::accumulate(c.begin(), c.end(), 0);
  ConcatChannels concat{rows, c, {}, {}};
  for (std::size_t i = 0; i < c.size(); ++i) {
    concat.x.push_back(static_cast<int>(i) == absent
                           ? Tensor{}
                           : op.input("x" + std::to_string(i), uniform(rows * c[i], -1, 1, i + 1)));
  }
  concat.y = op.result("y", rows * total);
  op.calls = {concat};
  const Tensor dy = op.project(concat.y, "dy");
  int first = 0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    if (concat.x[i]) {
      const Tensor dx = op.result("dx" + std::to_string(i), rows * c[i]);
      op.calls.emplace_back(SliceChannels{rows, total, first, c[i], dy, dx});
      if (rows > 0 && rows * total < 3000) op.gradients.emplace_back(concat.x[i], dx);
    }
    first += c[i];
  }
  return op;
}

/// A shuffle and its inverse.
OpCase shuffle_case(std::int64_t rows, int c, int groups) {
  OpCase op;
  op.name = "shuffle_" + std::to_string(rows) + "_" + std::to_string(c) + "_" + std::to_string(groups);
  const Tensor x = op.input("x0", uniform(rows * c, -1, 1, 1)), y = op.result("y", rows * c);
  const Tensor dy = op.project(y, "dy"), dx = op.result("dx0", rows * c);
  op.calls = {ShuffleChannels{rows, c, groups, x, y}, ShuffleChannels{rows, c, c / groups, dy, dx}};
  if (rows > 0 && rows * c < 3000) op.gradients = {{x, dx}};
  return op;
}

std::vector<OpCase> channels_cases() {
  return {concat_case("odd", 11, {3, 1, 5}),
          concat_case("fours", 9, {4, 12}),
          concat_case("eights", 50, {8, 16, 64}),
          concat_case("eights_at_an_odd_place", 30, {3, 8}),
          concat_case("zeros_before", 7, {4, 6}, 0),
          concat_case("zeros_behind", 7, {8, 8}, 1),
          concat_case("no_rows", 0, {3, 5}),
          concat_case("large", 7001, {24, 40, 8}),
          shuffle_case(5, 12, 3),
          shuffle_case(6, 16, 2),
          shuffle_case(4, 6, 6),
          shuffle_case(4, 6, 1),
          shuffle_case(0, 6, 2),
          shuffle_case(7001, 56, 2)};
}
CONVOY_OP_TESTS(Channels, channels_cases);

/// Nothing is computed: what is stored in 16 bits comes out as it is.
std::vector<OpCase> channels_cases_in_16_bits() {
  return in_16_bits(channels_cases(), {"x0", "x1", "x2", "y", "dy", "dx0", "dx1", "dx2"}, 0);
}
CONVOY_STORAGE_TESTS(Channels, channels_cases_in_16_bits);

Values shuffled(const Values& channels, int groups) {
  OpCase op;
  const Tensor x = op.input("x", channels), y = op.result("y", x.count);
  op.calls = {ShuffleChannels{1, static_cast<int>(x.count), groups, x, y}};
  return OpRunner(op, EngineKind::reference_f64).run()[1];
}

TEST(Channels, take_one_of_each_group_in_turn) {
  EXPECT_EQ(shuffled({0, 1, 2, 3, 4, 5}, 2), (Values{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(shuffled({0, 1, 2, 3, 4, 5}, 3), (Values{0, 2, 4, 1, 3, 5}));
}

}  // namespace
}  // namespace convoy::testing
