// What decides about a convolution's kernels, one condition at a time. tests/train/conv_choices_test.cpp has
// the shipped networks.
#include <gtest/gtest.h>

#include "kernels/conv/cuda/choice.h"
#include "kernels/conv/cuda/index/gather.h"
#include "kernels/conv/cuda/wgmma/layout.h"

namespace convoy::testing {
namespace {

constexpr ConvDevice turing{{40, 64 << 10}, false, false}, ampere{{108, 163 << 10}, true, false},
    hopper{{132, 227 << 10}, true, true};
constexpr auto fprop = ConvPass::fprop, dgrad = ConvPass::dgrad, wgrad = ConvPass::wgrad;

/// 3x3 on images of 32x32.
ConvProblem problem(ConvPass pass, DType stored, int c = 64, int k = 64) {
  ConvProblem p{pass, {}, stored};
  p.shape.n = 128, p.shape.in = {1, 32, 32, c}, p.shape.k = k, p.shape.r = p.shape.s = 3;
  p.shape.pad = {0, 1, 1};
  return p;
}
ConvFamily family(const ConvProblem& p, const ConvDevice& device) {
  return choose(p, device).family;
}

TEST(ConvChoice, TypesAndCodeDecide) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    for (const ConvDevice& device : {turing, ampere, hopper}) {
      ConvProblem p = problem(pass, DType::f32);
      EXPECT_EQ(family(p, device), ConvFamily::ffma);
      p.math = Math::tf32;
      EXPECT_EQ(family(p, device), device.tensor_core_code ? ConvFamily::tf32 : ConvFamily::ffma);
    }
    EXPECT_EQ(family(problem(pass, DType::f16), turing), ConvFamily::turing);
    EXPECT_EQ(family(problem(pass, DType::bf16), turing), ConvFamily::scalar);
    for (const DType stored : {DType::f16, DType::bf16}) {
      EXPECT_EQ(family(problem(pass, stored), ampere), ConvFamily::half);
      EXPECT_EQ(family(problem(pass, stored), hopper), ConvFamily::hopper);
    }
  }
}

TEST(ConvChoice, ChannelsAndAlignmentDecide) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    EXPECT_EQ(family(problem(pass, DType::f32, 6), hopper), ConvFamily::scalar);
    EXPECT_EQ(family(problem(pass, DType::f32, 12), hopper), ConvFamily::ffma);
    EXPECT_EQ(family(problem(pass, DType::f16, 12), hopper), ConvFamily::scalar);
    EXPECT_EQ(family(problem(pass, DType::f16, 64, 20), hopper), ConvFamily::scalar);
    for (std::size_t tensor = 0; tensor < 3; ++tensor) {
      ConvProblem p = problem(pass, DType::f16);
      const ConvChoice aligned = choose(p, hopper);
      p.alignment[tensor] = 8;
      const ConvChoice choice = choose(p, hopper);
      EXPECT_EQ(choice.family, ConvFamily::scalar);
      EXPECT_TRUE(choice.tiles.empty());
      EXPECT_EQ(choice.sum.splits, aligned.sum.splits) << "the sum follows from the shape alone";
      EXPECT_EQ(choice.sum.chunk, aligned.sum.chunk);
      EXPECT_FALSE(tuning_problem(p, hopper));
    }
  }
}

TEST(ConvChoice, AlignmentIsThatOfThePlacedTensors) {
  ConvForward call;
  call.x.dtype = DType::f16;
  call.x.offset = 64, call.w.offset = 0, call.y.offset = 6;
  EXPECT_EQ(problem_of(call).alignment, (std::array{16, 16, 2}));
  ConvWgrad gradient;
  gradient.x.offset = 4, gradient.dy.offset = 256, gradient.dw.offset = 8;
  EXPECT_EQ(problem_of(gradient).alignment, (std::array{4, 16, 8}));
}

/// Masks have bits for ten taps, and sources fewer than 2^31 elements.
TEST(ConvChoice, WhatMasksCannotHoldGoesWithoutThem) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    ConvProblem p = problem(pass, DType::f16);
    p.shape.s = 11;
    EXPECT_EQ(family(p, hopper), ConvFamily::scalar);
    p.stored = DType::f32, p.math = Math::tf32;
    EXPECT_EQ(family(p, hopper), ConvFamily::ffma);
    p.shape.s = 10;
    EXPECT_EQ(family(p, hopper), ConvFamily::tf32);
    p.shape.n = 32768;  // 2^31 elements
    EXPECT_EQ(family(p, hopper), ConvFamily::ffma);
  }
}

TEST(ConvChoice, ImagesHaveTheirOwnFpropAndWgrad) {
  for (const ConvPass pass : {fprop, wgrad}) {
    EXPECT_EQ(family(problem(pass, DType::f32, 3), hopper), ConvFamily::stem_ffma);
    EXPECT_EQ(family(problem(pass, DType::f16, 3), turing), ConvFamily::stem_ffma);
    ConvProblem p = problem(pass, DType::f16, 3);
    EXPECT_EQ(family(p, ampere), ConvFamily::stem_halo);
    EXPECT_FALSE(tuning_problem(p, ampere));
    const std::int64_t bytes = conv_workspace_bytes({wgrad, p.shape, p.stored}, ampere);
    p.alignment[pass == fprop ? 1 : 2] =
        2;  // filters are read one by one, and so are their gradients written
    EXPECT_EQ(family(p, ampere), ConvFamily::stem_halo);
    p.alignment[0] = 2;
    EXPECT_EQ(family(p, ampere), ConvFamily::stem_ffma);
    EXPECT_GE(bytes, plan_first_layer_wgrad(p.shape).splits * p.shape.weights() * 4)
        << "enough for either family";
    EXPECT_EQ(family(problem(pass, DType::f16, 3, 20), ampere), ConvFamily::stem_ffma) << "20 filters";
  }
  EXPECT_EQ(family(problem(dgrad, DType::f16, 3), hopper), ConvFamily::scalar);
  EXPECT_EQ(family(problem(dgrad, DType::f32, 4), hopper), ConvFamily::ffma);
}

/// Where patches do not suit, the kernels of sm_80 do the work.
TEST(ConvChoice, HopperWantsPatches) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    ConvProblem strided = problem(pass, DType::f16, 128, 128);
    strided.shape.stride = {1, 2, 2};
    EXPECT_EQ(family(strided, hopper), pass == dgrad ? ConvFamily::hopper : ConvFamily::half);
    ConvProblem wide = problem(pass, DType::bf16);
    wide.shape.in.w = 4096, wide.shape.in.h = 64, wide.shape.n = 1;
    EXPECT_EQ(family(wide, hopper), ConvFamily::half) << "no tile's patch fits into shared memory";
  }
}

/// A dgrad is launched for eight residue classes at a time, and each launch has its tile.
TEST(ConvChoice, StridedDgradHasATilePerLaunch) {
  for (const auto& [stride, launches] : {std::pair{1, 1}, {2, 1}, {3, 2}, {4, 2}, {5, 4}}) {
    ConvProblem p = problem(dgrad, DType::f16);
    p.shape.stride = {1, stride, stride};
    for (const ConvDevice& device : {turing, ampere, hopper}) {
      const ConvChoice choice = choose(p, device);
      EXPECT_EQ(choice.tiles.size(), static_cast<std::size_t>(launches)) << "stride " << stride;
      const std::vector<DgradClass<char>> classes = dgrad_classes<char>(p.shape, nullptr);
      EXPECT_EQ(dgrad_launches(classes).size(), choice.tiles.size());
    }
  }
}

TEST(ConvChoice, MeasuredTilesComeFirstWhereTheyFit) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    for (const ConvDevice& device : {turing, ampere, hopper}) {
      const ConvProblem p = problem(pass, DType::f16);
      const std::optional<TuningProblem> tuning = tuning_problem(p, device);
      ASSERT_TRUE(tuning);
      TileChoices measured;
      for (std::size_t tile = 0; tile < tuning->tiles.size(); ++tile) {
        measured.tiles[tuning->key] = tile;
        const ConvChoice choice = choose(p, device, &measured);
        if (choice.family != ConvFamily::hopper && fits(tuning->tiles[tile], device.gpu)) {
          EXPECT_EQ(choice.tiles, std::vector{tile});
        }
        EXPECT_EQ(choice.sum.splits, choose(p, device).sum.splits) << "a tile changes no bit";
      }
      measured.tiles[tuning->key] = 1;
      if (device.warpgroups) {
        EXPECT_EQ(choose(p, device, &measured).tiles, std::vector<std::size_t>{1});
      }
    }
  }
}

ConvProblem grouped(ConvPass pass, DType stored, int groups, int c, int k) {
  ConvProblem p = problem(pass, stored, c, k);
  p.shape.groups = groups;
  return p;
}

TEST(ConvChoice, GroupsHaveTheirOwnFamilies) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    for (const ConvDevice& device : {turing, ampere, hopper}) {
      EXPECT_EQ(family(grouped(pass, DType::f32, 32, 128, 128), device), ConvFamily::grouped_ffma);
      EXPECT_EQ(family(grouped(pass, DType::f32, 4, 12, 16), device), ConvFamily::grouped_scalar);
      ConvProblem tf32 = grouped(pass, DType::f32, 32, 128, 128);
      tf32.math = Math::tf32;
      EXPECT_EQ(family(tf32, device),
                device.tensor_core_code ? ConvFamily::grouped_tf32 : ConvFamily::grouped_ffma);
      const bool cores = device.tensor_core_code;
      EXPECT_EQ(family(grouped(pass, DType::f16, 32, 128, 128), device),
                cores ? ConvFamily::grouped_half : ConvFamily::grouped_turing);
      EXPECT_EQ(family(grouped(pass, DType::bf16, 32, 128, 128), device),
                cores ? ConvFamily::grouped_half : ConvFamily::grouped_scalar);
      for (const DType stored : {DType::f16, DType::bf16})
        EXPECT_EQ(family(grouped(pass, stored, 3, 36, 36), device), ConvFamily::grouped_scalar)
            << "no eights";
      for (const DType stored : {DType::f32, DType::f16, DType::bf16}) {
        EXPECT_EQ(family(grouped(pass, stored, 3, 15, 15), device), ConvFamily::grouped_scalar);
        EXPECT_EQ(family(grouped(pass, stored, 3, 3, 6), device), ConvFamily::grouped_scalar) << "no stem";
        EXPECT_EQ(family(grouped(pass, stored, 72, 72, 72), device), ConvFamily::depthwise);
        EXPECT_EQ(family(grouped(pass, stored, 3, 3, 3), device), ConvFamily::depthwise) << "no stem";
        ConvProblem p = grouped(pass, stored, 32, 128, 128);
        const ConvChoice aligned = choose(p, device);
        EXPECT_FALSE(tuning_problem(p, device));
        p.alignment[1] = 2;
        const ConvChoice choice = choose(p, device);
        EXPECT_EQ(choice.family, ConvFamily::grouped_scalar);
        EXPECT_EQ(choice.bundles.groups, 1);
        EXPECT_EQ(choice.sum.splits, aligned.sum.splits) << "the sum follows from the shape alone";
      }
    }
  }
}

TEST(ConvChoice, BundlesAreAsWideAsATile) {
  const auto groups_of = [](int groups, int c, int k, int run) {
    const std::optional<Bundles> bundles = bundles_for(grouped(fprop, DType::f16, groups, c, k).shape, run);
    return bundles ? bundles->groups : 0;
  };
  EXPECT_EQ(groups_of(32, 128, 128, 8), 16);
  EXPECT_EQ(groups_of(32, 512, 512, 8), 4);
  EXPECT_EQ(groups_of(32, 1024, 1024, 8), 2);
  EXPECT_EQ(groups_of(2, 160, 160, 8), 1);
  EXPECT_EQ(groups_of(5, 40, 40, 8), 5);
  EXPECT_EQ(groups_of(7, 56, 56, 8), 7);
  EXPECT_EQ(groups_of(8, 48, 48, 8), 8) << "six channels a group";
  EXPECT_EQ(groups_of(3, 15, 15, 8), 0) << "no number of groups has channels in eights";
  EXPECT_EQ(groups_of(4, 384, 384, 8), 1);
  EXPECT_EQ(groups_of(4, 400, 400, 8), 2) << "100 channels a group";
}

TEST(ConvChoice, GroupsHaveWorkspaceForWeightsAndSums) {
  for (const ConvDevice& device : {turing, ampere, hopper}) {
    const ConvProblem narrow = grouped(fprop, DType::f16, 32, 128, 128);
    EXPECT_EQ(conv_workspace_bytes(narrow, device), 128 * 9 * 64 * 2) << "zeros between groups";
    EXPECT_EQ(conv_workspace_bytes(grouped(dgrad, DType::f16, 2, 160, 160), device), 0);
    const ConvProblem p = grouped(wgrad, DType::f16, 32, 128, 128);
    EXPECT_EQ(conv_workspace_bytes(p, device), choose(p, device).sum.splits * 128 * 9 * 64 * 4);
    const ConvProblem depthwise = grouped(wgrad, DType::f16, 72, 72, 72);
    const ConvChoice choice = choose(depthwise, device);
    EXPECT_GT(choice.sum.splits, 1);
    EXPECT_EQ(conv_workspace_bytes(depthwise, device), choice.sum.splits * 72 * 9 * 4);
    EXPECT_GE(std::int64_t{choice.sum.splits} * choice.sum.chunk, 128 * 32) << "all rows are in some part";
  }
}

/// On a device with less shared memory, wgrad by warpgroups takes the next tile that fits.
TEST(ConvChoice, HopperWgradWalksToATileThatFits) {
  const ConvProblem p = problem(wgrad, DType::f16);
  const auto bytes = [&](std::size_t tile) { return wgrad_layout(p.shape, patch_wgrad_kernels[tile]).total; };
  for (std::size_t tile = 0; tile < 3; ++tile) {
    ConvDevice small = hopper;
    small.gpu.shared_bytes_per_block = bytes(tile);
    EXPECT_EQ(choose(p, small).tiles, std::vector{tile});
    TileChoices measured;
    measured.tiles[tuning_problem(p, small)->key] = 0;
    EXPECT_EQ(choose(p, small, &measured).tiles, std::vector{tile}) << "what was measured does not fit";
  }
  EXPECT_GT(bytes(0), bytes(1));
  EXPECT_GT(bytes(1), bytes(2));
  ConvDevice none = hopper;
  none.gpu.shared_bytes_per_block = 1000;
  EXPECT_THROW(choose(p, none), Error);
  EXPECT_THROW(choose(problem(fprop, DType::f16), none), Error);
}

TEST(ConvChoice, WorkspaceHoldsThePartialSums) {
  for (const DType stored : {DType::f32, DType::f16, DType::bf16}) {
    for (const ConvDevice& device : {turing, ampere, hopper}) {
      const ConvProblem p = problem(wgrad, stored);
      const int splits = choose(p, device).sum.splits;
      EXPECT_GT(splits, 1);
      EXPECT_EQ(conv_workspace_bytes(p, device), splits * p.shape.weights() * 4);
    }
  }
}

TEST(ConvChoice, NoWorkIsNoProblem) {
  for (const ConvPass pass : {fprop, dgrad, wgrad}) {
    ConvProblem p = problem(pass, DType::f16);
    EXPECT_FALSE(p.is_empty());
    p.shape.n = 0;
    EXPECT_TRUE(p.is_empty());
    EXPECT_FALSE(tuning_problem(p, hopper));
    if (pass == wgrad) {
      EXPECT_EQ(conv_workspace_bytes(p, hopper), 0);
    }
  }
}

/// Tile caches of users hold indices into these tables: another value here makes them measure anew.
TEST(ConvChoice, TileTablesAreThoseOfTheCaches) {
  EXPECT_EQ(tile_tables_id(), "1c4c45cf03b187fe");
}

}  // namespace
}  // namespace convoy::testing
