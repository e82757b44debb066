// What holds for any update rule, whatever its formula.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "kernels/optimizer.h"
#include "tests/kernels/op_case.h"
#include "tests/rules.h"

namespace convoy::testing {
namespace {

constexpr std::int64_t count = 192;

class OptimizerRuleTest : public ::testing::TestWithParam<std::tuple<NamedRule, EngineKind>> {
 protected:
  void SetUp() override {
    if (kind() == EngineKind::cuda && cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
  EngineKind kind() const { return std::get<1>(GetParam()); }
  const OptimizerRule& rule() const { return std::get<0>(GetParam()).rule; }
  std::size_t moment_count() const { return moments_of(rule()).size(); }

  /// Moves `w` and `moments` by one step.
  void step(const Values& gradients, double decay = 0) {
    OpCase op;
    op.name = "step";
    op.state.step = steps_++;
    op.state.learning_rate = rate_;
    const Tensor parameters = op.input("parameters", w_), g = op.input("gradients", gradients);
    const Tensor factors = op.input("decay", Values(count / parameter_alignment, decay));
    std::vector<Tensor> blocks;
    for (const Values& moment : moments_) blocks.push_back(op.input("moment", moment));
    OptimizerStep call{rule(), parameters, g, blocks, factors};
    if (factor_ != 1) call.rates = op.input("rates", Values(count / parameter_alignment, factor_));
    call.first_step = first_step_;
    op.calls = {call};
    const std::vector<Values> results = OpRunner(op, kind()).run();
    w_ = results[0];
    for (std::size_t m = 0; m < moments_.size(); ++m) moments_[m] = results[3 + m];
  }

  Values w_ = uniform(count, -1, 1, 1).values();
  std::vector<Values> moments_ = std::vector<Values>(moment_count(), Values(count, 0.0));
  float rate_ = 0.05f;
  std::int64_t steps_ = 0, first_step_ = 0;
  double factor_ = 1;  ///< of the learning rate
};

TEST_P(OptimizerRuleTest, TheFirstStepGoesAgainstTheGradient) {
  const Values before = w_, gradients = uniform(count, -1, 1, 2).values();
  step(gradients);
  for (std::size_t i = 0; i < w_.size(); ++i)
    EXPECT_LT((w_[i] - before[i]) * gradients[i], 0) << "gradient " << gradients[i];
}

TEST_P(OptimizerRuleTest, AFactorOfTheLearningRateIsAnotherLearningRate) {
  const Values before = w_, gradients = uniform(count, -1, 1, 2).values();
  rate_ = 0.1f;
  step(gradients, 0.5);
  const Values expected = w_;
  w_ = before, steps_ = 0, moments_.assign(moment_count(), Values(count, 0.0));
  rate_ = 0.05f, factor_ = 2;
  step(gradients, 0.5);
  EXPECT_EQ(w_, expected);
}

TEST_P(OptimizerRuleTest, StepsBeforeTheFirstDoNotCount) {
  const Values before = w_, gradients = uniform(count, -1, 1, 2).values();
  step(gradients, 0.5);
  const Values expected = w_;
  w_ = before, moments_.assign(moment_count(), Values(count, 0.0));
  steps_ = first_step_ = 1000;
  step(gradients, 0.5);
  EXPECT_EQ(w_, expected);
}

TEST_P(OptimizerRuleTest, WithoutALearningRateNoWeightMoves) {
  const Values before = w_;
  rate_ = 0;
  step(uniform(count, -1, 1, 2).values(), 0.5);
  EXPECT_EQ(w_, before);
}

TEST_P(OptimizerRuleTest, WeightDecayPullsTowardsZero) {
  const Values before = w_;
  step(Values(count, 0.0), 0.5);
  for (std::size_t i = 0; i < w_.size(); ++i) EXPECT_LT((w_[i] - before[i]) * before[i], 0) << before[i];
}

TEST_P(OptimizerRuleTest, EachMomentIsKeptAndUsed) {
  const Values before = w_, gradients = uniform(count, -1, 1, 2).values();
  step(gradients);
  const Values from_zero = w_;
  for (std::size_t m = 0; m < moments_.size(); ++m)
    EXPECT_EQ(std::count(moments_[m].begin(), moments_[m].end(), 0.0), 0) << "moment " << m << " stays zero";
  for (std::size_t m = 0; m < moment_count(); ++m) {
    w_ = before, steps_ = 0;
    moments_.assign(moment_count(), Values(count, 0.0));
    moments_[m].assign(count, 3.0);
    step(gradients);
    EXPECT_NE(w_, from_zero) << "moment " << m << " does not matter";
  }
}

TEST_P(OptimizerRuleTest, ANaNInTheGradientReachesTheWeight) {
  Values gradients(count, 1.0);
  gradients[5] = std::numeric_limits<double>::quiet_NaN();
  step(gradients);
  for (std::size_t i = 0; i < w_.size(); ++i) EXPECT_EQ(std::isnan(w_[i]), i == 5) << "weight " << i;
}

// The sum of c (w - a)^2 / 2, with a learning rate that falls to zero.
TEST_P(OptimizerRuleTest, FindsTheMinimumOfABowl) {
  const Values a = uniform(count, -1, 1, 3).values(), c = uniform(count, 0.5, 2, 4).values();
  const auto distance = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < w_.size(); ++i) sum += std::abs(w_[i] - a[i]);
    return sum / static_cast<double>(count);
  };
  const double first = distance();
  constexpr int steps = 200;
  for (int i = 0; i < steps; ++i) {
    Values gradients(w_.size());
    for (std::size_t k = 0; k < w_.size(); ++k) gradients[k] = c[k] * (w_[k] - a[k]);
    rate_ = 0.1f * (1 - static_cast<float>(i) / steps);
    step(gradients);
  }
  EXPECT_LT(distance(), 0.1 * first);
}

TEST(OptimizerStep, IsRefusedWithOtherMomentsThanItsRuleNeeds) {
  OpCase op;
  op.name = "step";
  const Tensor w = op.input("parameters", Values(64, 1.0)), g = op.input("gradients", Values(64, 1.0));
  const Tensor decay = op.input("decay", {0.0});
  for (const OptimizerRule& rule :
       {OptimizerRule(Adam{}), OptimizerRule(Sgd{.momentum = 0.9f}), OptimizerRule(RmsProp{})}) {
    op.calls = {OptimizerStep{rule, w, g, {}, decay}};
    EXPECT_THROW(OpRunner(op, EngineKind::cpu).run(), Error);
    EXPECT_THROW(OpRunner(op, EngineKind::reference_f32).run(), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerRuleTest,
                         ::testing::Combine(::testing::ValuesIn(all_named_rules()),
                                            ::testing::Values(EngineKind::reference_f64,
                                                              EngineKind::reference_f32, EngineKind::cpu,
                                                              EngineKind::cuda)),
                         [](const auto& instance) {
                           const int engine = static_cast<int>(std::get<1>(instance.param));
                           return fmt::format("{}_engine_{}", std::get<0>(instance.param).name, engine);
                         });

}  // namespace
}  // namespace convoy::testing
