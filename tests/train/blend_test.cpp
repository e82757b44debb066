// Mixup and cutmix: what is drawn for a step, and that where an image lies does not matter to its partner.
#include "src/session/blend.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

constexpr int draws = 20000;

TEST(Blend, SharesAreBeta) {
  for (const double alpha : {0.2, 1.0, 2.5}) {
    double mean = 0, square = 0, below = 0;
    for (std::uint64_t i = 0; i < draws; ++i) {
      const double share = draw_beta(alpha, 1, 2, i << 32);
      ASSERT_GE(share, 0);
      ASSERT_LE(share, 1);
      mean += share / draws, square += share * share / draws, below += share < 0.25 ? 1.0 / draws : 0;
    }
    EXPECT_NEAR(mean, 0.5, 0.01) << alpha;
    EXPECT_NEAR(square - mean * mean, 1 / (4 * (2 * alpha + 1)), 0.005) << alpha;
    if (alpha == 1) {
      EXPECT_NEAR(below, 0.25, 0.01);
    }
  }
}

StepState at(int step, int epoch = 3) {
  StepState state;
  state.seed = 11, state.epoch = epoch, state.first = step;
  return state;
}

TEST(Blend, OfMixupIsOneShareForAllPixels) {
  DataConfig data;
  data.mixup = 0.5f;
  const FeatureShape image{1, 7, 9, 3};
  float before = -1;
  for (int step = 0; step < 50; ++step) {
    const Blend blend = draw_blend(data, image, at(step));
    EXPECT_EQ(blend.own, blend.share);
    EXPECT_EQ(blend.top, 0);
    EXPECT_EQ(blend.bottom, 7);
    EXPECT_EQ(blend.right, 9);
    EXPECT_NE(blend.own, before) << "each step has its own";
    EXPECT_NE(blend.own, draw_blend(data, image, at(step, 4)).own) << "in each epoch";
    EXPECT_EQ(blend.own, draw_blend(data, image, at(step)).own) << "and always the same";
    before = blend.own;
  }
}

TEST(Blend, OfCutmixWeighsLabelsAsPixels) {
  DataConfig data;
  data.cutmix = 1;
  const FeatureShape image{1, 32, 24, 3};
  double share = 0;
  for (int step = 0; step < draws; ++step) {
    const Blend blend = draw_blend(data, image, at(step));
    ASSERT_EQ(blend.own, 0);
    ASSERT_TRUE(0 <= blend.top && blend.top <= blend.bottom && blend.bottom <= 32);
    ASSERT_TRUE(0 <= blend.left && blend.left <= blend.right && blend.right <= 24);
    const int pixels = (blend.bottom - blend.top) * (blend.right - blend.left);
    ASSERT_NEAR(blend.share, 1 - pixels / (32.0 * 24.0), 1e-6);
    share += blend.share / double{draws};
  }
  EXPECT_GT(share, 0.6);  // half, were boxes not cut at the edges
  EXPECT_LT(share, 0.75);
}

TEST(Blend, OfBothIsHalfOfEach) {
  DataConfig data;
  data.mixup = 0.2f, data.cutmix = 1;
  int cuts = 0;
  for (int step = 0; step < 2000; ++step) cuts += draw_blend(data, {1, 8, 8, 3}, at(step)).own == 0;
  EXPECT_NEAR(cuts, 1000, 100);
}

constexpr const char* all_kinds =
    "data.augment=[{crop: 1}, {flip: horizontal}, {color_jitter: {contrast: 0.4}}, {random_erasing: 0.5}, "
    "{mixup: 0.4}, {cutmix: 1}]";

TEST(Augmentation, LeavesValidationAlone) {
  const RankEnvironment alone = RankEnvironment::alone();
  const auto loss = [&](const std::vector<std::string>& overrides) {
    const Config config = parse_config(tiny_yaml, "tiny.yaml", overrides);
    Session session(config, tiny_data(19, 17), make_engine(EngineKind::cpu, alone), alone);
    session.initialize();
    return session.evaluate().loss();
  };
  EXPECT_EQ(loss({all_kinds}), loss({}));
}

/// 19 images in batches of 8: the last is short.
std::vector<double> trained_weights(EngineKind kind, std::vector<std::string> overrides,
                                    const RankEnvironment& environment) {
  overrides.emplace_back(all_kinds);
  std::string yaml = tiny_yaml;  // without normalisation over groups that passes of a few images would cut
  for (const std::string line : {"- batchnorm: {group: 3}", "- batchnorm\n"})
    yaml.replace(yaml.find(line), line.size(), line.ends_with('\n') ? "- relu\n" : "- relu");
  const Config config = parse_config(yaml, "blended.yaml", overrides);
  Session session(config, tiny_data(19, 5), make_engine(kind, environment), environment);
  session.initialize();
  train_epochs(session, config, 1, 2);
  return weights_of(session);
}

class BlendedTraining : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  static double tolerance() { return GetParam() == EngineKind::reference_f64 ? 1e-12 : 2e-5; }
};
class DistributedBlendedTraining : public BlendedTraining {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    BlendedTraining::SetUp();
  }
};

TEST_P(BlendedTraining, IsTheSameOnStagedData) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const char* passes :
       {"train.micro_batch=0", "train.micro_batch=3", "train.reproducible_across_ranks=4"}) {
    const auto staged = trained_weights(GetParam(), {passes, "data.resident=false"}, alone);
    EXPECT_EQ(staged, trained_weights(GetParam(), {passes, "data.resident=true"}, alone)) << passes;
  }
}

TEST_P(DistributedBlendedTraining, IsTheSameOnAnyRankCount) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const char* passes : {"train.micro_batch=0", "train.micro_batch=5"}) {
    const auto one = trained_weights(GetParam(), {passes}, alone);
    for (const char* resident : {"data.resident=true", "data.resident=false"}) {
      EXPECT_LT(largest_difference(one, trained_weights(GetParam(), {passes, resident}, ranks())),
                tolerance())
          << passes << ' ' << resident;
    }
  }
}

// Shows that the comparisons above can fail.
TEST(BlendedTrainingRules, AnotherPartnerIsAnotherResult) {
  const RankEnvironment alone = RankEnvironment::alone();
  EXPECT_NE(trained_weights(EngineKind::cpu, {"train.reproducible_across_ranks=2"}, alone),
            trained_weights(EngineKind::cpu, {"train.reproducible_across_ranks=1"}, alone));
}

const auto kinds = ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda);
INSTANTIATE_TEST_SUITE_P(Engines, BlendedTraining, kinds, engine_name);
INSTANTIATE_TEST_SUITE_P(Engines, DistributedBlendedTraining, kinds, engine_name);

}  // namespace
}  // namespace convoy::testing
