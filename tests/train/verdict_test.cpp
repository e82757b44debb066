// What a step tells the host about itself, and what all ranks decide by it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class Verdicts : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  std::unique_ptr<Session> session(const Config& config, const RankEnvironment& environment) const {
    auto made = std::make_unique<Session>(config, tiny_data(37, 5), make_engine(GetParam(), environment),
                                          environment);
    made->initialize();
    made->begin_epoch(1);
    made->reset_training_metrics();
    return made;
  }
  static void step(Session& session, std::int64_t number, bool stop = false) {
    StepState state;
    state.step = number;
    state.stop = stop ? 1 : 0;
    state.learning_rate = 0.1f;
    session.train_batch(static_cast<int>(number), state);
  }
  static void write_first_weight(Session& session, double value) {
    const Tensor weights = session.plans().layout.parameters[0];
    std::vector<double> values = session.read_values(weights);
    values[0] = value;
    session.write_values(weights, values);
  }
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  RankEnvironment alone_ = RankEnvironment::alone();
};

TEST_P(Verdicts, GiveEachStepsOwnLoss) {
  const auto s = session(tiny_config(), alone_);
  step(*s, 0);
  const Metrics first = s->read_training_metrics();
  step(*s, 1);  // 8 images like the first
  const Metrics both = s->read_training_metrics();
  EXPECT_NEAR(s->verdict(0).loss, first.loss(), 1e-6);
  EXPECT_NEAR(s->verdict(1).loss, 2 * both.loss() - first.loss(), 1e-5);
  step(*s, 2);
  step(*s, 3);
  EXPECT_TRUE(s->verdict(2).finite);
  EXPECT_FALSE(s->verdict(3).stop);
  EXPECT_THROW(s->verdict(1), Error) << "three steps ago";
}

TEST_P(Verdicts, StopInTheStepThatWasAsked) {
  const auto s = session(tiny_config(), alone_);
  step(*s, 0);
  step(*s, 1, true);
  EXPECT_FALSE(s->verdict(0).stop);
  EXPECT_TRUE(s->verdict(1).stop);
  step(*s, 2);
  EXPECT_FALSE(s->verdict(2).stop);
}

TEST_P(Verdicts, ALossThatIsNoNumberIsNoticed) {
  const auto s = session(tiny_config(), alone_);
  step(*s, 0);
  write_first_weight(*s, nan);
  step(*s, 1);
  EXPECT_TRUE(s->verdict(0).finite);
  EXPECT_FALSE(s->verdict(1).finite);
}

TEST_P(Verdicts, ALossThatIsNoNumberCanBeSkipped) {
  const auto s = session(tiny_config({"train.on_nan=skip"}), alone_);
  step(*s, 0);
  const double kept = s->read_values(s->plans().layout.parameters[0])[0];
  const std::vector<double> before = weights_of(*s);
  const Metrics counted = s->read_training_metrics();
  write_first_weight(*s, nan);
  step(*s, 1);
  EXPECT_FALSE(s->verdict(1).finite);
  EXPECT_EQ(s->read_training_metrics().loss_sum, counted.loss_sum);
  EXPECT_EQ(s->read_training_metrics().count, counted.count);
  ASSERT_TRUE(s->read_loss_scale().has_value());
  EXPECT_EQ(s->read_loss_scale()->skipped_steps, 1);
  EXPECT_EQ(s->read_loss_scale()->scale, 1) << "nothing is scaled in this precision";
  write_first_weight(*s, kept);
  const std::size_t parameters = static_cast<std::size_t>(s->graph().parameter_count());
  std::vector<double> after = weights_of(*s);
  EXPECT_TRUE(
      std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(parameters), after.begin()));
  step(*s, 2);
  EXPECT_TRUE(s->verdict(2).finite);
  EXPECT_NE(weights_of(*s), before) << "and it goes on";
}

TEST_P(Verdicts, LongGradientsAreClipped) {
  // Without momentum and decay a step is the learning rate times the gradient.
  const std::vector<std::string> plain{"optimizer={name: sgd, lr: 0.1}",
                                       "model.layers=[flatten, {linear: 3}]"};
  const auto length_of_step = [&](std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), plain.begin(), plain.end());
    const auto s = session(tiny_config(overrides), alone_);
    const std::vector<double> before = weights_of(*s);
    step(*s, 0);
    const std::vector<double> after = weights_of(*s);
    double squares = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
      squares += (after[i] - before[i]) * (after[i] - before[i]);
    return std::sqrt(squares) / 0.1;
  };
  const double full = length_of_step({});
  EXPECT_NEAR(length_of_step({fmt::format("train.clip_norm={}", full / 3)}), full / 3, 1e-4 * full);
  EXPECT_NEAR(length_of_step({fmt::format("train.clip_norm={}", full * 3)}), full, 1e-4 * full);
}

// The average follows the weights from the first ones on, and evaluation takes it.
TEST_P(Verdicts, ValidationTakesTheMovingAverage) {
  const auto s = session(tiny_config({"train.ema=0.75"}), alone_);
  const Layout& layout = s->plans().layout;
  std::vector<double> expected = s->read_values(layout.all_parameters);
  EXPECT_EQ(s->read_values(layout.average), expected);
  for (int i = 0; i < 3; ++i) {
    step(*s, i);
    const std::vector<double> weights = s->read_values(layout.all_parameters);
    for (std::size_t k = 0; k < expected.size(); ++k) expected[k] += 0.25 * (weights[k] - expected[k]);
  }
  EXPECT_LT(largest_difference(s->read_values(layout.average), expected), 1e-6);

  const Metrics averaged = s->evaluate();
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    s->write_values(layout.parameters[i],
                    std::vector<double>(static_cast<std::size_t>(layout.parameters[i].count), 9));
  }
  EXPECT_EQ(s->evaluate().loss_sum, averaged.loss_sum) << "the weights themselves do not matter";
  const auto other = session(tiny_config(), alone_);
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    other->write_values(other->plans().layout.parameters[i],
                        s->read_values(same_place(layout.parameters[i], layout.average)));
  }
  for (std::size_t i = 0; i < layout.statistics.size(); ++i)
    other->write_values(other->plans().layout.statistics[i], s->read_values(layout.statistics[i]));
  EXPECT_EQ(other->evaluate().loss_sum, averaged.loss_sum);
}

INSTANTIATE_TEST_SUITE_P(Engines, Verdicts,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

class DistributedVerdicts : public Verdicts {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    Verdicts::SetUp();
  }
  static bool is_last() { return ranks().rank() == ranks().size() - 1; }
};

// The last rank alone is asked to stop, or has a broken weight: every rank learns of it by the same step.
TEST_P(DistributedVerdicts, AreTheSameOnEveryRank) {
  const auto s = session(tiny_config(), ranks());
  const RankEnvironment alone = RankEnvironment::alone();
  const auto single = session(tiny_config(), alone);
  step(*single, 0);
  step(*s, 0);
  step(*s, 1, is_last());
  const StepVerdict first = s->verdict(0), second = s->verdict(1);
  EXPECT_NEAR(first.loss, single->verdict(0).loss, 1e-5);
  EXPECT_FALSE(first.stop);
  EXPECT_TRUE(second.stop);
  if (is_last()) write_first_weight(*s, nan);
  step(*s, 2);
  EXPECT_FALSE(s->verdict(2).finite);
}

// Ranks without an image in the epoch's last batch have a vote.
TEST_P(DistributedVerdicts, CountRanksWithoutImages) {
  const auto s = session(tiny_config({"train.global_batch=12"}), ranks());  // 12, 12, 12, 1
  step(*s, 3, is_last());
  EXPECT_TRUE(s->verdict(3).stop);
  EXPECT_TRUE(s->verdict(3).finite);
}

INSTANTIATE_TEST_SUITE_P(Engines, DistributedVerdicts,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
