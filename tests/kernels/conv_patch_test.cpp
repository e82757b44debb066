// Patches of a convolution's source, and what the kernels that use them divide, which need no GPU.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/ceil_div.h"
#include "kernels/conv/cuda/index/patch.h"
#include "kernels/conv/cuda/wgmma/layout.h"

namespace convoy {
namespace {

ConvShape random_shape(std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  ConvShape s;
  for (;;) {
    s.n = pick(1, 9), s.in = {pick(1, 3), pick(1, 12), pick(1, 12), 8}, s.k = 16;
    s.t = pick(1, 2), s.r = pick(1, 4), s.s = pick(1, 4);
    for (int axis = 0; axis < 3; ++axis) {
      s.stride[axis] = pick(1, 3), s.pad[axis] = pick(0, 2), s.dilation[axis] = pick(1, 2);
    }
    const FeatureShape out = s.out();
    if (out.d > 0 && out.h > 0 && out.w > 0) return s;
  }
}

/// The windows of `gather` reach, by way of patches of `windows` windows, just what the matrix is made of.
void expect_patches(const Gather<char>& gather, int source_pixels, int windows) {
  const PatchedGather<char> patched{gather, source_pixels};
  const MaskedGather<char> masked{gather};
  int largest = 0;
  for (int first = 0; first < gather.rows; first += windows) {
    const PixelRun patch = patched.patch(first, windows);
    ASSERT_GE(patch.begin, 0);
    ASSERT_LE(patch.begin, patch.end);
    ASSERT_LE(patch.end, source_pixels);
    largest = std::max(largest, patch.end - patch.begin);
    for (int row = first; row < first + windows; ++row) {
      const PatchWindow window = patched.window(row);
      const auto pixel = masked.pixel(row);
      ASSERT_EQ(window.valid_mask, pixel.valid_mask);
      for (int i = 0; i < gather.taps; ++i) {
        const PatchTap tap = patched.tap(i);
        const auto as_masked = masked.tap(i * gather.channels);
        ASSERT_EQ(tap.required_mask, as_masked.required_mask);
        if (!masked.inside(pixel, as_masked)) continue;
        const int read = window.first + tap.offset;
        ASSERT_EQ(read * gather.channels, pixel.origin + as_masked.offset);
        ASSERT_GE(read, patch.begin);
        ASSERT_LT(read, patch.end);
      }
    }
  }
  EXPECT_LE(largest, patched.largest_patch(windows));
}

TEST(ConvPatch, HoldsWhatWindowsReadAndNothingElse) {
  std::mt19937 random(11);
  int forward = 0, backward = 0;
  for (int i = 0; i < 600; ++i) {
    const ConvShape s = random_shape(random);
    const int windows = 1 << std::uniform_int_distribution<int>(2, 7)(random);
    const std::vector<char> memory(static_cast<std::size_t>(s.n * std::max(s.in.count(), s.out().count())));
    const Gather<char> x = forward_gather(s, memory.data());
    const auto source_pixels = static_cast<int>(s.n * s.in.pixels());
    if (PatchedGather<char>{x, source_pixels}.in_order()) {
      expect_patches(x, source_pixels, windows);
      ++forward;
    }
    for (const DgradClass<char>& cls : dgrad_classes(s, memory.data())) {
      const auto dy_pixels = static_cast<int>(s.n * s.out().pixels());
      if (cls.gather.rows == 0 || !PatchedGather<char>{cls.gather, dy_pixels}.in_order()) continue;
      expect_patches(cls.gather, dy_pixels, windows);
      ++backward;
    }
  }
  EXPECT_GT(forward, 150);
  EXPECT_GT(backward, 150);
}

TEST(ConvPatch, WindowsOutOfOrderAreSeen) {
  ConvShape wide;  // a line of windows is longer than the line they read
  wide.n = 2, wide.in = {1, 5, 5, 8}, wide.k = 8, wide.r = wide.s = 1, wide.pad = {0, 0, 2};
  const Gather<char> x = forward_gather<char>(wide, nullptr);
  EXPECT_FALSE((PatchedGather<char>{x, 50}.in_order()));
  EXPECT_FALSE(patches_suit_fprop(wide));
}

TEST(ConvPatch, SharedMemoryIsDividedWithoutOverlap) {
  for (const TileShape& tile : patch_tiles) {
    for (const int channels : {8, 32, 40, 64, 200}) {
      for (const int taps : {1, 4, 9, 49}) {
        for (const bool across : {false, true}) {
          const PatchLayout l = patch_layout(channels, {taps, taps}, 150, across, tile);
          EXPECT_GE(l.planes * 8, std::min(channels, channel_block));
          EXPECT_GE(l.plane, 151 * patch_chunk) << "a pixel of zeros ends a plane";
          EXPECT_EQ(l.zeros() + patch_chunk, l.plane);
          EXPECT_EQ(l.plane / patch_chunk % 2, 1);
          EXPECT_EQ(l.filter_plane / patch_chunk % 2, 1);
          EXPECT_EQ(l.filters, l.buffers * l.planes * l.plane);
          EXPECT_GE(l.filter_stage, tile.n * std::min(channels, channel_block) * 2);
          EXPECT_EQ(l.taps % static_cast<int>(alignof(PatchTap)), 0);
          EXPECT_GE(l.taps, l.filters + patch_stages * l.filter_stage);
          EXPECT_GE(l.total, l.taps + taps * static_cast<int>(sizeof(PatchTap)));
          EXPECT_GE(l.total, tile.m * (2 * tile.n + patch_chunk));
          // A patch is overwritten `patch_lookahead` steps before its successor's first, when it must be done
          // with.
          const int blocks = ceil_div(channels, channel_block);
          EXPECT_TRUE(l.buffers == blocks || (l.buffers - 1) * taps >= patch_lookahead);
        }
      }
    }
  }
  for (const PatchWgradTile& tile : patch_wgrad_kernels) {
    const PatchWgradLayout l = patch_wgrad_layout(tile, 194);
    EXPECT_GE(l.plane, 195 * patch_chunk);
    EXPECT_EQ(l.plane / patch_chunk % 2, 1);
    EXPECT_EQ(l.filters, tile.channels() / 8 * l.plane);
    EXPECT_GE(l.windows - l.filters, tile.filters() * tile.pixels * 2);
    EXPECT_GE(l.stage - l.windows, tile.pixels * static_cast<int>(sizeof(PatchWindow)));
    EXPECT_EQ(l.taps, tile.stages * l.stage);
    EXPECT_EQ(l.stage % patch_chunk, 0);
    EXPECT_GE(l.barriers - l.taps, tile.taps() * static_cast<int>(sizeof(PatchTap)));
    EXPECT_EQ(l.total - l.barriers, tile.stages * ring_bytes);
    EXPECT_EQ(wgrad_pixels % tile.pixels, 0) << "chunks are whole steps";
  }
}

/// The residue classes of a strided dgrad differ in taps, and share a layout.
TEST(ConvPatch, EveryClassHasThePatchesItNeeds) {
  std::mt19937 random(7);
  int fewer = 0;
  for (int i = 0; i < 200; ++i) {
    ConvShape s = random_shape(random);
    s.k = 256;
    const PatchLayout l = dgrad_layout(s, patch_tiles[1]);
    for (const DgradClass<char>& cls : dgrad_classes<char>(s, nullptr)) {
      EXPECT_TRUE(cls.gather.taps == 0 || l.buffers == s.k / channel_block ||
                  (l.buffers - 1) * cls.gather.taps >= patch_lookahead)
          << s.describe();
      fewer += cls.gather.taps > 0 && cls.gather.taps < s.taps() ? 1 : 0;
      EXPECT_GE(l.total - l.taps, cls.gather.taps * static_cast<int>(sizeof(PatchTap)));
    }
  }
  EXPECT_GT(fewer, 100);
}

TEST(ConvPatch, WgradPlanCoversEveryPixel) {
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    const ConvShape s = random_shape(random);
    const WgradPlan plan = plan_patch_wgrad(s);
    const std::int64_t pixels = s.n * s.out().pixels();
    EXPECT_EQ(plan.chunk % wgrad_pixels, 0);
    EXPECT_GE(std::int64_t{plan.splits} * plan.chunk, pixels);
    EXPECT_LT(std::int64_t{plan.splits - 1} * plan.chunk, pixels) << "every split has pixels";
  }
  ConvShape wide;
  wide.n = 512, wide.in = {1, 32, 32, 64}, wide.k = 64, wide.r = wide.s = 3, wide.pad = {0, 1, 1};
  EXPECT_GE(plan_patch_wgrad(wide).splits, 100) << "one tile of weights: the pixels occupy the machine";
}

}  // namespace
}  // namespace convoy
