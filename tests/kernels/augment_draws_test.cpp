// What is drawn for an image, over many images: everything that was asked for, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/augment_pixels.h"

namespace convoy::testing {
namespace {

constexpr int draws = 4000;
constexpr FeatureShape image{1, 32, 24, 3};

StepState some_state() {
  StepState state;
  state.seed = 7;
  return state;
}

TEST(AugmentDraws, EachFactorHasAStrengthOfItsOwn) {
  double most[3] = {}, products = 0;
  for (int sample = 0; sample < draws; ++sample) {
    const ColorFactors factors = color_factors({0.1f, 0.2f, 0.4f}, some_state(), sample);
    const double away[] = {factors.brightness - 1.0, factors.contrast - 1.0, factors.saturation - 1.0};
    for (int i = 0; i < 3; ++i) most[i] = std::max(most[i], std::abs(away[i]));
    products += away[0] * away[1] / (0.1 * 0.2) / draws;
  }
  EXPECT_NEAR(most[0], 0.1, 1e-3);
  EXPECT_NEAR(most[1], 0.2, 2e-3);
  EXPECT_NEAR(most[2], 0.4, 4e-3);
  EXPECT_NEAR(products, 0, 0.02) << "and is drawn by itself";
}

TEST(AugmentDraws, ErasedBoxesAreAsTallAsAskedAndLieAnywhere) {
  const RandomErasing tall{1.0f, 0.2f, 0.2f, 2.0f, 4.0f};
  std::set<int> tops, lefts;
  int boxes = 0;
  for (int sample = 0; sample < draws; ++sample) {
    const PixelBox box = erased_box(tall, image, some_state(), sample);
    const int height = box.bottom - box.top, width = box.right - box.left;
    if (height == 0) continue;
    ++boxes;
    EXPECT_NEAR(height * width, 0.2 * image.h * image.w, 24);
    EXPECT_GT(height, 1.8 * width);
    if (height == 20) tops.insert(box.top);
    if (width == 7) lefts.insert(box.left);
  }
  EXPECT_GT(boxes, draws * 9 / 10);
  EXPECT_EQ(tops.size(), 13u) << "12 rows of room";
  EXPECT_EQ(lefts.size(), 18u) << "17 columns of room";
}

TEST(AugmentDraws, EachDirectionIsMirroredForHalfOfTheImages) {
  for (const Flip flip : {Flip::none, Flip::horizontal, Flip::vertical, Flip::both}) {
    int across = 0, over = 0, both = 0;
    for (int sample = 0; sample < draws; ++sample) {
      const ImageShift shift = image_shift(7, 3, sample, 0, flip);
      across += shift.flip, over += shift.upside_down, both += shift.flip && shift.upside_down;
      EXPECT_EQ(shift.moves(), shift.flip || shift.upside_down);
    }
    EXPECT_NEAR(across, flip == Flip::horizontal || flip == Flip::both ? draws / 2 : 0, 0.03 * draws);
    EXPECT_NEAR(over, flip == Flip::vertical || flip == Flip::both ? draws / 2 : 0, 0.03 * draws);
    EXPECT_NEAR(both, flip == Flip::both ? draws / 4 : 0, 0.03 * draws);
  }
}

}  // namespace
}  // namespace convoy::testing
