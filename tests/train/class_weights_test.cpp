// Weights of classes: what they are, and that a run's training loss has them. What balanced epochs show.
#include "src/session/class_weights.h"

#include <cmath>
#include <set>

#include "tests/train/support.h"

namespace convoy::testing {
namespace {

/// 40 images, so many of each of four classes, which are validated on, too.
Dataset uneven() {
  Dataset data = tiny_data(40, 0);
  data.classes = 4;
  for (std::size_t i = 0; i < 40; ++i) data.labels[i] = i < 4 ? 0 : i < 20 ? 1 : 3;  // none of class 2
  data.validation = data.train;
  return data;
}

TEST(ClassWeights, AreBalancedOverTheClassesThatHaveImages) {
  const std::vector<double> weights = class_weights({true, {}, {}}, uneven(), 6);
  ASSERT_EQ(weights.size(), 6u);
  EXPECT_NEAR(weights[0], 40.0 / 3 / 4, 1e-12);
  EXPECT_NEAR(weights[1], 40.0 / 3 / 16, 1e-12);
  EXPECT_NEAR(weights[3], 40.0 / 3 / 20, 1e-12);
  for (const std::size_t other : {2, 4, 5}) EXPECT_EQ(weights[other], 1) << "no image, or no class";
}

TEST(ClassWeights, AreThoseOfTheList) {
  const std::vector<double> weights = class_weights({false, {2, 0, 1, 0.5f}, {}}, uneven(), 5);
  EXPECT_EQ(weights, (std::vector<double>{2, 0, 1, 0.5, 1}));
}

Config linear(std::vector<std::string> overrides) {
  return parse_config(
      "model: {input: [2, 6, 6], layers: [flatten, linear: 4]}\ntrain: {global_batch: 16}\ndevice: cpu\n",
      "t", overrides);
}

TEST(ClassWeights, MustBeAsManyAsClasses) {
  const Config config = linear({"train.class_weights=[1, 2, 3]"});
  try {
    check_fit(config, uneven(), build_graph(config.model));
    FAIL() << "three weights for four classes";
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "command line: train.class_weights=[1, 2, 3]: train.class_weights has 3 values, but the data "
        "set has 4 classes");
  }
}

// Against the scores of the same weights, which a learning rate of zero keeps. Batches of 16, 16 and 8.
TEST(ClassWeights, AreInTheTrainingLossAlone) {
  const RankEnvironment alone = RankEnvironment::alone();
  double plain = 0;
  for (const auto& [overrides, gamma] :
       {std::pair{std::vector<std::string>{}, 0},
        std::pair{std::vector<std::string>{"train.class_weights=balanced"}, 0},
        std::pair{std::vector<std::string>{"train.class_weights=[2, 0, 1, 0.5]", "train.loss=focal"}, 2},
        std::pair{std::vector<std::string>{"train.loss={focal: 3}"}, 3}}) {
    const Config config = linear(overrides);
    Session session(config, uneven(), make_engine(EngineKind::reference_f64, alone), alone);
    session.initialize();
    session.begin_epoch(1);
    for (int i = 0; i < 3; ++i) {
      StepState state;
      state.step = i;
      session.train_batch(i, state);
    }
    const Metrics trained = session.read_training_metrics();
    Predictions answers;
    const Metrics validated = session.evaluate(&answers);
    const std::vector<double> weights = class_weights(config.train.class_weights, uneven(), 4);
    double expected = 0;
    for (std::size_t i = 0; i < 40; ++i) {
      const auto row = answers.logits.begin() + static_cast<std::ptrdiff_t>(4 * i);
      double sum = 0;
      for (int c = 0; c < 4; ++c) sum += std::exp(row[c]);
      const double p = std::exp(row[answers.labels[i]]) / sum;
      expected -= weights[static_cast<std::size_t>(answers.labels[i])] * std::pow(1 - p, gamma) * std::log(p);
    }
    EXPECT_NEAR(trained.loss(), expected / 40, 1e-6);
    if (overrides.empty()) plain = validated.loss();
    EXPECT_EQ(validated.loss(), plain) << "validation has no weights";
  }
}

// One image has half of the places of an epoch: shifted and mirrored anew each time, its loss changes. The
// learning rate is zero.
TEST(BalancedEpochs, ChangeAnImageInAnotherWayInEachBatch) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const char* augment : {"data.augment=[]", "data.augment=[{crop: 2}, {flip: horizontal}]"}) {
    const Config config = linear({"data.balance=true", "train.global_batch=1", augment});
    Dataset data = tiny_data(40, 0);
    data.classes = 4;
    for (std::size_t i = 0; i < 40; ++i) data.labels[i] = i == 0 ? 0 : 1;
    data.validation = data.train;
    Session session(config, data, make_engine(EngineKind::cpu, alone), alone);
    session.initialize();
    session.begin_epoch(1);
    std::set<double> losses;
    for (int i = 0; i < 40; ++i) {
      StepState state;
      state.step = i;
      session.train_batch(i, state);
      const double loss = session.verdict(i).loss;
      if (session.order()[static_cast<std::size_t>(i)] == 0) losses.insert(loss);
    }
    if (config.data.augments()) {
      EXPECT_GT(losses.size(), 10u);
    } else {
      EXPECT_EQ(losses.size(), 1u);
    }
  }
}

}  // namespace
}  // namespace convoy::testing
