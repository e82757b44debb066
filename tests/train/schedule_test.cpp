#include "src/train/schedule.h"

#include <gtest/gtest.h>

namespace convoy::testing {
namespace {

using Name = ScheduleConfig::Name;

ScheduleConfig schedule(Name name, double final_factor = 0) {
  ScheduleConfig s;
  s.name = name;
  s.final_factor = final_factor;
  return s;
}

double rate(const ScheduleConfig& s, std::int64_t step) {
  return learning_rate(s, 2.0, step, 10, 10);
}

TEST(Schedule, ConstantWithWarmup) {
  ScheduleConfig s = schedule(Name::constant);
  s.warmup_epochs = 1;
  EXPECT_DOUBLE_EQ(rate(s, 0), 0.2);
  EXPECT_DOUBLE_EQ(rate(s, 9), 2.0);
  EXPECT_DOUBLE_EQ(rate(s, 99), 2.0);
}

TEST(Schedule, WarmupLeavesHalfOfAShortRun) {
  ScheduleConfig s = schedule(Name::cosine);
  s.warmup_epochs = 3;
  EXPECT_DOUBLE_EQ(learning_rate(s, 2.0, 0, 10, 1), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(s, 2.0, 4, 10, 1), 2.0) << "reached after half an epoch";
  EXPECT_LT(learning_rate(s, 2.0, 9, 10, 1), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(s, 2.0, 29, 10, 6), 2.0) << "as asked for where there is room";
}

TEST(Schedule, WarmupInSteps) {
  ScheduleConfig s = schedule(Name::constant);
  s.warmup_steps = 4;
  EXPECT_DOUBLE_EQ(rate(s, 0), 0.5);
  EXPECT_DOUBLE_EQ(rate(s, 3), 2.0);
  EXPECT_DOUBLE_EQ(rate(s, 4), 2.0);
  s.warmup_steps = 1000;
  EXPECT_DOUBLE_EQ(rate(s, 24), 1.0) << "half of the run of 100 steps";
}

TEST(Schedule, MilestonesInSteps) {
  ScheduleConfig s = schedule(Name::step);
  s.milestone_steps = {3, 55};
  EXPECT_DOUBLE_EQ(rate(s, 2), 2.0);
  EXPECT_DOUBLE_EQ(rate(s, 3), 0.2);
  EXPECT_DOUBLE_EQ(rate(s, 54), 0.2);
  EXPECT_NEAR(rate(s, 55), 0.02, 1e-15);
}

TEST(Schedule, StepMultipliesAtMilestones) {
  ScheduleConfig s = schedule(Name::step);
  s.milestones = {3, 6};
  EXPECT_DOUBLE_EQ(rate(s, 29), 2.0);
  EXPECT_DOUBLE_EQ(rate(s, 30), 0.2);
  EXPECT_NEAR(rate(s, 60), 0.02, 1e-15);
}

TEST(Schedule, LinearAndCosineEndAtTheFinalFactor) {
  EXPECT_DOUBLE_EQ(rate(schedule(Name::linear, 0.5), 50), 1.5);
  EXPECT_DOUBLE_EQ(rate(schedule(Name::linear, 0.5), 100), 1.0);
  EXPECT_DOUBLE_EQ(rate(schedule(Name::cosine), 0), 2.0);
  EXPECT_NEAR(rate(schedule(Name::cosine), 50), 1.0, 1e-12);
  EXPECT_NEAR(rate(schedule(Name::cosine), 100), 0.0, 1e-12);
}

TEST(Schedule, OneCycleRisesAndFalls) {
  ScheduleConfig s = schedule(Name::one_cycle);
  s.start_factor = 0.1;
  s.peak_at = 0.25;
  EXPECT_DOUBLE_EQ(rate(s, 0), 0.2);
  EXPECT_DOUBLE_EQ(rate(s, 25), 2.0);
  EXPECT_NEAR(rate(s, 100), 0.0, 1e-12);
}

}  // namespace
}  // namespace convoy::testing
