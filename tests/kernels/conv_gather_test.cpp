// The CUDA convolutions' index arithmetic and plans, which need no GPU: every product that the definition
// asks for appears once, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "kernels/conv/cuda/index/gather.h"
#include "kernels/conv/cuda/plan.h"

namespace convoy {
namespace {

/// (element of x, element of y without its filter, tap): one multiplication of the definition for channel c,
/// filter k = 0.
using Product = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

std::multiset<Product> products_by_definition(const ConvShape& s) {
  const FeatureShape out = s.out();
  std::multiset<Product> products;
  for (std::int64_t y = 0; y < s.n * out.pixels(); ++y) {
    const int q = static_cast<int>(y % out.w), p = static_cast<int>(y / out.w % out.h),
              o = static_cast<int>(y / out.w / out.h % out.d);
    for (int tap = 0; tap < s.taps(); ++tap) {
      const int d = o * s.stride[0] - s.pad[0] + tap / s.s / s.r * s.dilation[0];
      const int h = p * s.stride[1] - s.pad[1] + tap / s.s % s.r * s.dilation[1];
      const int w = q * s.stride[2] - s.pad[2] + tap % s.s * s.dilation[2];
      if (d < 0 || d >= s.in.d || h < 0 || h >= s.in.h || w < 0 || w >= s.in.w) continue;
      products.emplace((((y / out.pixels() * s.in.d + d) * s.in.h + h) * s.in.w + w) * s.in.c, y, tap);
    }
  }
  return products;
}

std::multiset<Product> products_of_forward(const ConvShape& s) {
  const std::vector<float> x(static_cast<std::size_t>(s.n * s.in.count()));
  const Gather<float> gather = forward_gather(s, x.data());
  std::multiset<Product> products;
  for (int row = 0; row < gather.rows; ++row) {
    for (int column = 0; column < gather.columns; column += s.in.c) {
      const GatherPixel<float> pixel = gather.pixel(row);
      const GatherTap tap = gather.tap(column);
      if (!gather.inside(pixel, tap)) continue;
      products.emplace(pixel.origin + tap.offset - x.data(), row, column / s.in.c);
    }
  }
  return products;
}

std::multiset<Product> products_of_dgrad(const ConvShape& s) {
  const std::vector<float> dy(static_cast<std::size_t>(s.n * s.out().count()));
  std::multiset<Product> products;
  for (const DgradClass<float>& cls : dgrad_classes(s, dy.data())) {
    for (int row = 0; row < cls.gather.rows; ++row) {
      const GatherWindow at = cls.gather.window(row);
      const std::int64_t nd = std::int64_t{at.n} * s.in.d + cls.d.first + at.d * cls.d.stride;
      const std::int64_t ndh = nd * s.in.h + cls.h.first + at.h * cls.h.stride;
      const std::int64_t x = (ndh * s.in.w + cls.w.first + at.w * cls.w.stride) * s.in.c;
      for (int column = 0; column < cls.gather.columns; column += s.k) {
        const GatherPixel<float> pixel = cls.gather.pixel(row);
        const GatherTap tap = cls.gather.tap(column);
        if (!cls.gather.inside(pixel, tap)) continue;
        const TapPlace of = cls.gather.tap_at(tap.tap);
        const int t = cls.d.tap_first + of.t * cls.d.tap_step, r = cls.h.tap_first + of.r * cls.h.tap_step;
        products.emplace(x, (pixel.origin + tap.offset - dy.data()) / s.k,
                         (t * s.r + r) * s.s + cls.w.tap_first + of.s * cls.w.tap_step);
      }
    }
  }
  return products;
}

/// Small, with every stride, pad and dilation up to three, volumes among them.
std::vector<ConvShape> random_shapes(int count) {
  std::mt19937 random(5);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  std::vector<ConvShape> shapes;
  while (static_cast<int>(shapes.size()) < count) {
    ConvShape s;
    const bool volume = pick(0, 2) == 0;
    s.n = pick(1, 3);
    s.in = {volume ? pick(1, 5) : 1, pick(1, 8), pick(1, 9), pick(1, 5)};
    s.k = pick(1, 5), s.t = volume ? pick(1, 3) : 1, s.r = pick(1, 4), s.s = pick(1, 4);
    for (std::size_t axis = volume ? 0 : 1; axis < 3; ++axis) {
      s.stride[axis] = pick(1, 3), s.pad[axis] = pick(0, 3), s.dilation[axis] = pick(1, 3);
    }
    if (s.out().pixels() > 0) shapes.push_back(s);
  }
  return shapes;
}

TEST(ConvGather, MakesTheDefinitionsProducts) {
  for (const ConvShape& shape : random_shapes(200)) {
    const auto expected = products_by_definition(shape);
    ASSERT_EQ(products_of_forward(shape), expected) << shape.describe();
    ASSERT_EQ(products_of_dgrad(shape), expected) << shape.describe();
  }
}

TEST(ConvGather, AdvancingEqualsDecoding) {
  for (const ConvShape& shape : random_shapes(50)) {
    const Gather<float> gather = forward_gather<float>(shape, nullptr);
    for (const int step : {1, 8, 16}) {
      GatherTap tap = gather.tap(0);
      for (int column = step; column < gather.columns; column += step) {
        gather.advance(tap, step);
        const GatherTap decoded = gather.tap(column);
        ASSERT_EQ(std::tie(tap.c, tap.tap, tap.d, tap.h, tap.w, tap.offset),
                  std::tie(decoded.c, decoded.tap, decoded.d, decoded.h, decoded.w, decoded.offset))
            << shape.describe();
      }
    }
  }
}

/// The masks of a pixel and a tap say what their coordinates say, at every column that is reached by steps.
TEST(ConvGather, MasksEqualCoordinates) {
  for (const ConvShape& shape : random_shapes(50)) {
    const std::vector<float> source(
        static_cast<std::size_t>(shape.n * std::max(shape.in.count(), shape.out().count()) + 1));
    std::vector<Gather<float>> gathers = {forward_gather(shape, source.data())};
    for (const DgradClass<float>& cls : dgrad_classes(shape, source.data())) gathers.push_back(cls.gather);
    for (const Gather<float>& gather : gathers) {
      ASSERT_LE(std::max({gather.d.taps, gather.h.taps, gather.w.taps}), most_masked_taps);
      const MaskedGather<float> masked{gather};
      for (const int step : {1, 32}) {
        MaskedGather<float>::Tap stepped = masked.tap(0);
        for (int column = 0; column < gather.columns + 64; column += step, masked.advance(stepped, step)) {
          const MaskedGather<float>::Tap decoded = masked.tap(column);
          const GatherTap tap = gather.tap(column);
          ASSERT_EQ(std::tie(stepped.tap, stepped.required_mask),
                    std::tie(decoded.tap, decoded.required_mask))
              << shape.describe();
          if (column < gather.columns) {
            ASSERT_EQ(std::tie(stepped.c, stepped.offset), std::tie(tap.c, tap.offset));
          }
          for (int row = 0; row < gather.rows + 2; ++row) {
            ASSERT_EQ(masked.inside(masked.pixel(row), stepped), gather.inside(gather.pixel(row), tap))
                << shape.describe() << " row " << row << " column " << column;
          }
        }
      }
    }
  }
}

/// Splits cover all pixels, none is empty, and chunks begin where every tile's K step does.
TEST(ConvPlan, WgradSplitsCoverThePixels) {
  std::vector<ConvShape> shapes = random_shapes(20);
  for (const auto& [n, side, c, k] :
       {std::tuple{128, 14, 32, 64}, {512, 32, 64, 64}, {512, 8, 256, 256}, {1, 7, 512, 512}}) {
    ConvShape s;
    s.n = n, s.in = {1, side, side, c}, s.k = k, s.r = s.s = 3, s.pad = {0, 1, 1};
    shapes.push_back(s);
  }
  for (const ConvShape& shape : shapes) {
    const std::int64_t pixels = shape.n * shape.out().pixels();
    const WgradPlan plan = plan_wgrad(shape);
    EXPECT_EQ(plan.chunk % 16, 0) << shape.describe();
    EXPECT_EQ(ceil_div(pixels, plan.chunk), plan.splits) << shape.describe();
    const WgradPlan on_tensor_cores = plan_wgrad(shape, tf32_tensor_cores);
    EXPECT_EQ(on_tensor_cores.chunk % 32, 0) << shape.describe();
    EXPECT_EQ(ceil_div(pixels, on_tensor_cores.chunk), on_tensor_cores.splits) << shape.describe();
    if (shape.in.c > 4) continue;
    const FirstLayerWgradPlan first = plan_first_layer_wgrad(shape);
    EXPECT_EQ(ceil_div(pixels, first.chunk), first.splits) << shape.describe();
    EXPECT_LE(first.quads * first.groups * first.pixel_lanes, first_layer_threads);
    EXPECT_LE(first.stage * first.groups * padded_group, first_layer_shared_floats);
    EXPECT_GE(first.quads * first.filter_blocks * 4, shape.k);
    EXPECT_EQ(first_layer_threads % first.stage, 0);
  }
}

/// A tile that a device has no shared memory for is not picked; every device has room for some.
TEST(ConvPlan, TilesFitTheDevice) {
  for (const int kib : {64, 99, 163, 227}) {
    const Gpu gpu{100, kib << 10};
    for (const std::int64_t m : {100, 10'000, 1'000'000}) {
      const std::size_t tile = pick_tile(tf32_tensor_cores, m, 256, 576, 1, gpu);
      EXPECT_LE(tf32_tiles[tile].shared_bytes, gpu.shared_bytes_per_block);
    }
  }
  const Gpu large{132, 227 << 10}, small{132, 99 << 10};
  EXPECT_EQ(pick_tile(tf32_tensor_cores, 1'000'000, 256, 576, 1, large), 0U);
  EXPECT_EQ(pick_tile(tf32_tensor_cores, 1'000'000, 256, 576, 1, small), 1U);
}

TEST(ConvPlan, NoImageIsOneEmptySplit) {
  ConvShape shape;
  shape.in = {1, 8, 8, 1}, shape.k = 4, shape.r = shape.s = 3;
  EXPECT_EQ(plan_wgrad(shape).splits, 1);
  EXPECT_EQ(plan_first_layer_wgrad(shape).splits, 1);
}

}  // namespace
}  // namespace convoy
