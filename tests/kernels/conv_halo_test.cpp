// The first layer's tiles and halos, which need no GPU: every element that a kernel multiplies is the one
// that the gathered matrix has there.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "kernels/conv/cuda/index/gather.h"
#include "kernels/conv/cuda/stem/halo.h"

namespace convoy {
namespace {

ConvShape square(int n, int height, int width, int c, int k, int kernel, int stride, int pad) {
  ConvShape s;
  s.n = n, s.in = {1, height, width, c}, s.k = k, s.r = s.s = kernel;
  s.stride = {1, stride, stride}, s.pad = {0, pad, pad};
  return s;
}

/// First layers in use, then small ones of every stride, pad and height of dilation up to three.
std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all = {
      square(2, 28, 28, 1, 32, 3, 1, 1),  square(2, 32, 32, 3, 64, 3, 1, 1),
      square(2, 32, 32, 3, 24, 2, 1, 0),  square(1, 40, 224, 3, 64, 7, 2, 3),
      square(1, 3, 602, 1, 8, 3, 1, 1),   square(1, 4, 1030, 3, 72, 3, 1, 1),
      square(1, 48, 48, 3, 64, 11, 4, 2), square(1, 32, 32, 1, 16, 16, 16, 0),
  };
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  while (all.size() < 300) {
    ConvShape s;
    s.n = pick(1, 3), s.in = {1, pick(1, 20), pick(1, 24), pick(1, 4)};
    s.k = 8 * pick(1, 12), s.r = pick(1, 5), s.s = pick(1, 5);
    s.stride = {1, pick(1, 3), pick(1, 3)}, s.pad = {0, pick(0, 3), pick(0, 3)};
    s.dilation = {1, pick(1, 3), 1};
    if (s.out().pixels() > 0 && s.in.w * s.in.c % 2 == 0) all.push_back(s);
  }
  return all;
}

/// The element of x (as its index) at an element of a tile's halo, or -1 for zero.
std::int64_t source_of(const HaloConv& conv, const HaloTile& tile, int element) {
  const HaloSource from = conv.source(tile, element / conv.unit);
  if (!from.inside) return -1;
  EXPECT_EQ(from.offset % conv.unit, 0) << "a copy would not be aligned";
  return std::int64_t{tile.n} * conv.height * conv.row_elements + from.offset + element % conv.unit;
}

/// Every pixel of y is in one tile, and its pairs are its window.
void expect_gathers(const ConvShape& shape, const HaloConv& conv) {
  const std::vector<std::uint16_t> x(static_cast<std::size_t>(shape.n * shape.in.count()));
  const Gather<std::uint16_t> gather = forward_gather(shape, x.data());
  ASSERT_EQ(conv.length, gather.columns);
  std::set<int> columns;
  for (int pair = 0; pair < conv.pairs + 20; ++pair) {
    for (int element = 0; element < 2; ++element) {
      const int column = conv.column_of(pair, element);
      if (column < 0) continue;
      ASSERT_TRUE(columns.insert(column).second) << column << " appears twice";
    }
  }
  ASSERT_EQ(static_cast<int>(columns.size()), conv.length);
  ASSERT_EQ(*columns.rbegin(), conv.length - 1);

  int pixels = 0;
  for (int index = 0; index < conv.tiles; ++index) {
    const HaloTile tile = conv.tile(index);
    ASSERT_EQ(conv.first_pixel(tile), pixels) << "tiles are runs of pixels, one after the other";
    for (int m = 0; m < conv.tile_pixels(); ++m) {
      const int begin = conv.begin(m), row = pixels + m;
      ASSERT_TRUE(conv.across_words() || begin % 2 == 0);
      for (int pair = 0; pair < conv.pairs + 20; ++pair) {
        const int first = begin + 2 * conv.pair_words(pair);
        const int last_read = (first / 2 + (conv.across_words() ? 1 : 0)) * 2 + 1;
        ASSERT_GE(first, 0);
        ASSERT_LT(last_read, conv.halo_units() * conv.unit);
        ASSERT_LE(2 * (last_read + 1), conv.halo_bytes());
        for (int element = 0; element < 2 && m < tile.pixels; ++element) {
          const int column = conv.column_of(pair, element);
          if (column < 0) continue;
          const auto pixel = gather.pixel(row);
          const GatherTap tap = gather.tap(column);
          const std::int64_t expected =
              gather.inside(pixel, tap) ? pixel.origin - x.data() + tap.offset : std::int64_t{-1};
          ASSERT_EQ(source_of(conv, tile, first + element), expected)
              << shape.describe() << " pixel " << row << " column " << column;
        }
      }
    }
    pixels += tile.pixels;
  }
  EXPECT_EQ(pixels, gather.rows);
}

TEST(ConvHalo, GathersWhatTheDefinitionSays) {
  for (const ConvShape& shape : shapes()) {
    for (const int most_pixels : {16, HaloWgrad::pixels(64), HaloFprop::pixels}) {
      const std::optional<HaloConv> conv = plan_halo(shape, most_pixels);
      ASSERT_TRUE(conv) << shape.describe();
      ASSERT_LE(conv->tile_pixels(), most_pixels);
      expect_gathers(shape, *conv);
      if (HasFailure()) FAIL() << shape.describe();
    }
  }
}

/// Each filter once; what a lane holds of a row, columns 2t and 2t + 1 of four products, in order.
TEST(ConvHalo, FiltersOfALaneAreNeighbours) {
  std::vector<int> filters;
  for (int group = 0; group < 2; ++group) {
    for (int t = 0; t < 4; ++t) {
      for (int tile = 4 * group; tile < 4 * group + 4; ++tile) {
        for (int i = 0; i < 2; ++i) filters.push_back(halo_filter(tile, 2 * t + i));
      }
    }
  }
  for (int i = 0; i < 64; ++i) EXPECT_EQ(filters[static_cast<std::size_t>(i)], i);
}

TEST(ConvHalo, PlansCoverTheWork) {
  for (const ConvShape& shape : shapes()) {
    if (const auto fprop = plan_halo_fprop(shape)) {
      EXPECT_GE(fprop->filters * fprop->filter_blocks, shape.k);
      EXPECT_GE(fprop->steps * halo_pairs_per_step, fprop->conv.pairs);
      EXPECT_LE(fprop->shared_bytes(), halo_most_shared_bytes);
      EXPECT_EQ((fprop->weight_bytes() + fprop->tap_bytes() + fprop->bias_bytes()) % 16, 0);
    }
    if (const auto wgrad = plan_halo_wgrad(shape)) {
      EXPECT_GE(wgrad->filters * wgrad->filter_blocks, shape.k);
      EXPECT_GE(wgrad->groups * HaloWgrad::group_pairs, wgrad->conv.pairs);
      EXPECT_LE(wgrad->threads(), 32 * HaloWgrad::most_warps);
      EXPECT_LE(wgrad->shared_bytes(), halo_most_shared_bytes);
      EXPECT_EQ(wgrad->stage_bytes() % 16, 0);
      EXPECT_EQ(ceil_div(wgrad->conv.tiles, wgrad->chunk), wgrad->splits) << "no split without a tile";
    }
  }
}

/// The layers it was made for are taken; what it cannot do is left to others.
TEST(ConvHalo, TakesFirstLayersOfImages) {
  for (const ConvShape& shape :
       {square(512, 32, 32, 3, 64, 3, 1, 1), square(128, 28, 28, 1, 32, 3, 1, 1),
        square(2000, 32, 32, 3, 24, 2, 1, 0), square(256, 224, 224, 3, 64, 7, 2, 3)}) {
    EXPECT_TRUE(plan_halo_fprop(shape)) << shape.describe();
    EXPECT_TRUE(plan_halo_wgrad(shape)) << shape.describe();
  }
  ConvShape volume = square(2, 8, 8, 2, 16, 3, 1, 1), gaps = volume;
  volume.in.d = 4, volume.t = 3, volume.pad[0] = 1;
  gaps.dilation[2] = 2;
  for (const ConvShape& shape :
       {square(2, 9, 9, 3, 64, 3, 1, 1), square(2, 8, 8, 3, 12, 3, 1, 1), square(2, 8, 8, 8, 16, 3, 1, 1),
        square(2, 2, 2, 3, 16, 5, 1, 0), volume, gaps}) {
    EXPECT_FALSE(plan_halo_fprop(shape)) << shape.describe();
    EXPECT_FALSE(plan_halo_wgrad(shape)) << shape.describe();
  }
}

}  // namespace
}  // namespace convoy
