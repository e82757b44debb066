// Which tile a product runs with, and what its choice is remembered by.
#include "kernels/conv/cuda/tile_choice.h"

#include <gtest/gtest.h>

#include <set>

namespace convoy::testing {
namespace {

ConvShape shape() {
  ConvShape s;
  s.n = 4, s.in = {5, 9, 8, 16}, s.k = 24, s.t = 2, s.r = 3, s.s = 3;
  return s;
}

TEST(TileChoice, EveryPartOfAProductIsInItsKey) {
  const auto key = [](const ConvShape& s) { return tile_key("conv.fprop", "half", DType::f16, s, 1); };
  std::set<std::string> keys{key(shape()), tile_key("conv.dgrad", "half", DType::f16, shape(), 1),
                             tile_key("conv.fprop", "ffma", DType::f16, shape(), 1),
                             tile_key("conv.fprop", "half", DType::bf16, shape(), 1),
                             tile_key("conv.fprop", "half", DType::f16, shape(), 2)};
  std::size_t expected = 5;
  const auto with = [&](auto change) {
    ConvShape s = shape();
    change(s);
    EXPECT_TRUE(keys.insert(key(s)).second) << key(s);
    ++expected;
  };
  with([](ConvShape& s) { s.n = 5; });
  with([](ConvShape& s) { s.in.d = 6; });
  with([](ConvShape& s) { s.in.h = 10; });
  with([](ConvShape& s) { s.in.w = 10; });
  with([](ConvShape& s) { s.in.c = 8; });
  with([](ConvShape& s) { s.k = 8; });
  with([](ConvShape& s) { s.t = 1; });
  with([](ConvShape& s) { s.r = 1; });
  with([](ConvShape& s) { s.s = 1; });
  for (std::size_t axis = 0; axis < 3; ++axis) {
    with([&](ConvShape& s) { s.stride[axis] = 2; });
    with([&](ConvShape& s) { s.pad[axis] = 1; });
    with([&](ConvShape& s) { s.dilation[axis] = 2; });
  }
  EXPECT_EQ(keys.size(), expected);
  EXPECT_EQ(key(shape()), key(shape()));
}

TEST(TileChoice, OnlyTilesThatExistAndFitAreUsed) {
  TileChoices choices;
  const Gpu large = reference_gpu, small{40, 48 << 10};
  const auto found = [&](const Gpu& gpu) { return measured_tile(choices, "a", half_tiles, gpu); };
  EXPECT_FALSE(found(large)) << "nothing is known";
  choices.tiles["a"] = 3;
  EXPECT_EQ(found(large), 3u);
  EXPECT_FALSE(measured_tile(choices, "b", half_tiles, large));
  EXPECT_FALSE(found(small)) << "needs more shared memory than there is";
  choices.tiles["a"] = half_tiles.size();
  EXPECT_FALSE(found(large)) << "no such tile";
}

/// What the cost model picks fits, too, where anything does.
TEST(TileChoice, TheCostModelPicksWhatFits) {
  const Gpu turing{40, 64 << 10};
  for (const std::int64_t m : {64, 4096, 1 << 20}) {
    for (const std::int64_t n : {16, 64, 512}) {
      EXPECT_TRUE(fits(turing_tiles[pick_tile(turing_tensor_cores, m, n, 576, 1, turing)], turing));
      EXPECT_TRUE(fits(half_tiles[pick_tile(half_tensor_cores, m, n, 576, 1, turing)], turing));
    }
  }
}

}  // namespace
}  // namespace convoy::testing
