// Small networks that go wrong, and one that does not: what the run says of each.
#include "src/report/symptoms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/regular_file.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

/// Of a run in good health.
EpochEvidence healthy() {
  EpochEvidence e;
  e.record.epoch = 1;
  e.record.train_loss = 0.4;
  e.record.val_loss = 0.3;
  e.record.val_accuracy = 0.9;
  e.classes = 10;
  e.steps = 100;
  e.labels.assign(10, 50);
  e.predicted.assign(10, 50);
  e.gradients = {{"0", 32, 3, 1e-2}, {"3", 64, 10, 1e-3}, {"6", 10, 0, 1e-2}};
  e.gradient_norm = 1;
  e.clip_norm = 1;
  e.norms = {0.5, 2, 3, 4, 5};
  e.scale_before = LossScale{65536, 0};
  e.record.loss_scale = LossScale{32768, 1};
  return e;
}

std::vector<std::string> names_of(const EpochEvidence& evidence) {
  std::vector<std::string> names;
  for (const Symptom& symptom : symptoms_of(evidence)) {
    EXPECT_NE(symptom.text.find(": "), std::string::npos) << "what to try: " << symptom.text;
    names.push_back(symptom.name);
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(Symptoms, NoneInGoodHealth) {
  EXPECT_EQ(names_of(healthy()), Names{});
}

TEST(Symptoms, TheLossStaysAtChance) {
  EpochEvidence e = healthy();
  e.record.train_loss = e.record.val_loss = std::log(10.0) * 1.01;
  EXPECT_EQ(names_of(e), Names{"chance"});
  e.record.train_loss = 2.1;
  EXPECT_EQ(names_of(e), Names{}) << "it falls";
  e.record.train_loss = 9;
  e.record.val_loss = 2.1;
  EXPECT_EQ(names_of(e), Names{}) << "the mean of an epoch that began badly";
  e.record.train_loss = e.record.val_loss = 9;
  EXPECT_EQ(names_of(e), Names{"chance"}) << "worse than guessing";
  e.record.train_loss = 0.5;
  e.weighs = true;
  EXPECT_EQ(names_of(e), Names{"chance"}) << "a training loss of another kind says nothing";
  e.weighs = false;
  e.record.train_loss = 9;
  for (bool EpochEvidence::*flag : {&EpochEvidence::learnable, &EpochEvidence::warmed_up}) {
    EpochEvidence early = e;
    early.*flag = false;
    EXPECT_EQ(names_of(early), Names{}) << "nothing can be learned, or not yet";
  }
  e.steps = 19;
  EXPECT_EQ(names_of(e), Names{}) << "too early to say";
  e.record.epoch = 2;
  EXPECT_EQ(names_of(e), Names{"chance"});
}

TEST(Symptoms, EveryAnswerIsOneClass) {
  EpochEvidence e = healthy();
  e.predicted = {0, 0, 498, 2, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(names_of(e), Names{"one_class"});
  e.predicted = {0, 0, 490, 10, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(names_of(e), Names{});
  e.labels = e.predicted = {0, 0, 498, 2, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(names_of(e), Names{}) << "that is how the data are";
}

TEST(Symptoms, EveryAnswerSeemsToBeOneClass) {
  EpochEvidence e = healthy();
  e.predicted.clear();
  e.record.val_loss = 2.5;
  e.record.val_accuracy = 0.1;
  EXPECT_EQ(names_of(e), Names{"one_class"});
  e.record.val_accuracy = 0.102;
  EXPECT_EQ(names_of(e), Names{});
  e.record.val_accuracy = 0.1;
  e.record.val_loss = 1.5;
  EXPECT_EQ(names_of(e), Names{}) << "by accident: the loss knows more";
}

TEST(Symptoms, MostUnitsOfALayerAreDead) {
  EpochEvidence e = healthy();
  e.gradients[1].dead = 48;
  EXPECT_EQ(names_of(e), Names{});
  e.gradients[1].dead = 49;
  EXPECT_EQ(names_of(e), Names{"dead_units"});
  EXPECT_NE(symptoms_of(e)[0].text.find("3 (49 of 64)"), std::string::npos);
  e.record.train_loss = 2;  // there is something left to learn
  e.gradients[1] = {"3", 64, 64, 0};
  EXPECT_EQ(names_of(e), Names{"dead_units"}) << "a layer without any gradient is not one of vanishing ones";
}

TEST(Symptoms, GradientsVanish) {
  EpochEvidence e = healthy();
  e.gradients[0].rms = 1e-9;
  EXPECT_EQ(names_of(e), Names{}) << "nothing is left to learn";
  e.record.train_loss = 2;
  EXPECT_EQ(names_of(e), Names{"vanishing_gradients"});
  e = healthy();
  e.record.train_loss = 2;
  e.gradient_norm = 1e-8;
  EXPECT_EQ(names_of(e), Names{"vanishing_gradients"});
}

TEST(Symptoms, EveryStepIsClipped) {
  EpochEvidence e = healthy();
  e.norms = {20, 30, 40, 50};
  EXPECT_EQ(names_of(e), Names{"clipped"});
  e.norms = {5, 30, 40, 50};
  EXPECT_EQ(names_of(e), Names{}) << "some clipping is what it is for";
  e.norms = {20, 30, 40};
  EXPECT_EQ(names_of(e), Names{}) << "too few to say so";
}

TEST(Symptoms, TheLossScaleKeepsFalling) {
  EpochEvidence e = healthy();
  e.record.loss_scale = LossScale{64, 10};
  EXPECT_EQ(names_of(e), Names{"loss_scale"});
  e.scale_before = LossScale{64, 10};
  EXPECT_EQ(names_of(e), Names{}) << "it has found its place";
  e.record.loss_scale = LossScale{1, 11};
  EXPECT_EQ(names_of(e), Names{"loss_scale"}) << "as low as it goes";
}

/// Whole runs.
class Signs : public ::testing::Test {
 protected:
  /// Images of three classes that are easy to tell apart: one of three rows is bright.
  static Dataset bars() {
    Dataset data = tiny_data(400, 60);
    const std::int64_t size = data.image.count();
    for (std::size_t i = 0; i < data.labels.size(); ++i) {
      data.labels[i] = static_cast<int>(i % 3);
      for (std::int64_t p = 0; p < size; ++p)
        if (p / (size / 3) == data.labels[i])
          data.images[i * static_cast<std::size_t>(size) + static_cast<std::size_t>(p)] = 255;
    }
    return data;
  }
  /// What the run's summary says is wrong; the console's lines are left in `said_`.
  Names signs(std::vector<std::string> overrides) {
    overrides.insert(overrides.begin(),
                     {"train={epochs: 2, global_batch: 32, label_smoothing: 0}", "data.augment=[]",
                      "optimizer={name: sgd, lr: 0.05, momentum: 0.9}", "checkpoint.every_epochs=100"});
    const Config config = tiny_config(overrides);
    const RankEnvironment alone = RankEnvironment::alone();
    Session session(config, bars(), make_engine(EngineKind::cpu, alone), alone);
    Console console(alone, config.train.log_every);
    const TrainOptions options{folder_.run(), "", std::chrono::steady_clock::now(), {}};
    const std::optional<SummaryRecord> summary = Trainer(config, options, session, alone, console).run();
    said_ = read_file(folder_.run() / "train.log");
    return summary->signs;
  }
  bool said(const std::string& text) const { return said_.find(text) != std::string::npos; }
  int times(const std::string& text) const {
    int count = 0;
    for (std::size_t at = 0; (at = said_.find(text, at)) != std::string::npos; ++at) ++count;
    return count;
  }
  static bool has(const Names& names, const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  RunFiles folder_;
  std::string said_;
};

constexpr const char* two_layers = "model.layers=[flatten, {linear: 16}, relu, {linear: 3}]";

TEST_F(Signs, AreAbsentWhereTheNetworkLearns) {
  EXPECT_EQ(signs({two_layers}), Names{});
  EXPECT_TRUE(said("accuracy 100.00 %")) << said_;
  EXPECT_FALSE(said("warning")) << said_;
}

TEST_F(Signs, OfALearningRateThatIsTooHigh) {
  const Names found = signs({two_layers, "optimizer.lr=30", "optimizer.momentum=0", "train.epochs=3"});
  EXPECT_TRUE(has(found, "chance")) << said_;
  EXPECT_TRUE(has(found, "dead_units")) << said_;
  EXPECT_EQ(times("most units are dead"), 1) << "said once: " << said_;
  EXPECT_TRUE(said("the network has learned nothing")) << said_;
}

TEST_F(Signs, OfALearningRateThatIsTooLow) {
  // Weights as good as none: every answer has the same score.
  const Names found = signs({"model.layers=[flatten, {linear: 3}]", "optimizer={name: sgd, lr: 1e-12}",
                             "data.normalize={mean: [0, 0], std: [1000, 1000]}"});
  EXPECT_TRUE(has(found, "chance")) << said_;
  EXPECT_TRUE(said("the network has learned nothing")) << said_;
}

TEST_F(Signs, OfGradientsThatVanish) {
  const Names found =
      signs({"model.layers=[flatten, repeat: {times: 30, layers: [linear: 8, sigmoid]}, linear: 3]"});
  EXPECT_TRUE(has(found, "vanishing_gradients")) << said_;
  EXPECT_TRUE(has(found, "one_class")) << said_;
}

TEST_F(Signs, OfClippingAtEveryStep) {
  EXPECT_EQ(signs({two_layers, "train.clip_norm=1e-4"}).back(), "clipped") << said_;
  EXPECT_EQ(times("shortens the gradients"), 1) << said_;
}

}  // namespace
}  // namespace convoy::testing
