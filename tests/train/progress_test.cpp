// What a person is told within an epoch: how it fits a terminal, and what the speed is made of.
#include <gtest/gtest.h>

#include <cmath>

#include "src/report/step_progress.h"

namespace convoy::testing {
namespace {

StepProgress example() {
  StepProgress progress;
  progress.record.epoch = 2;
  progress.record.loss = 0.4312;
  progress.record.accuracy = 0.8725;
  progress.record.images_per_second = 12345;
  progress.epochs = 3;
  progress.step = 120;
  progress.steps = 480;
  progress.seconds_left = 75;
  return progress;
}

TEST(ProgressBar, HasEverythingWhereThereIsRoom) {
  EXPECT_EQ(
      progress_bar(example(), 100),
      "epoch 2/3 [=======>                    ]  120/480  loss 0.4312  87.25 %  12345 images/s  1:15 left");
}

TEST(ProgressBar, FitsEveryWidth) {
  for (int width = 0; width <= 200; ++width) {
    const std::string text = progress_bar(example(), width);
    EXPECT_LE(static_cast<int>(text.size()), width) << text;
    EXPECT_EQ(text.find_first_of("\r\n\033"), std::string::npos);
    if (width >= 18) {
      EXPECT_NE(text.find("120/480"), std::string::npos) << text;
    }
  }
}

TEST(ProgressBar, GivesUpWhatMattersLeastFirst) {
  const std::string narrow = progress_bar(example(), 60);
  EXPECT_EQ(narrow.find("images/s"), std::string::npos) << narrow;
  EXPECT_NE(narrow.find("1:15 left"), std::string::npos) << narrow;
  EXPECT_EQ(progress_bar(example(), 34), "epoch 2/3  120/480  loss 0.4312");
}

TEST(ProgressBar, SaysNothingOfWhatIsNotKnown) {
  StepProgress progress = example();
  progress.record.images_per_second = 0;
  progress.record.loss = progress.record.accuracy = std::nan("");
  progress.seconds_left.reset();
  EXPECT_EQ(progress_line(progress), "epoch 2/3  step 120/480  loss -  train - %");
  EXPECT_EQ(progress_bar(progress, 200).find("left"), std::string::npos);
  EXPECT_EQ(progress_bar(progress, 200).find("nan"), std::string::npos);
}

TEST(ProgressLine, SaysTheSame) {
  EXPECT_EQ(progress_line(example()),
            "epoch 2/3  step 120/480  loss 0.4312  train 87.25 %  12345 img/s  1:15 left");
}

TEST(Clock, IsReadAsOne) {
  EXPECT_EQ(clock_text(0), "0:00");
  EXPECT_EQ(clock_text(59.6), "1:00");
  EXPECT_EQ(clock_text(754), "12:34");
  EXPECT_EQ(clock_text(3 * 3600 + 25 * 60 + 45), "3:25:45");
  EXPECT_EQ(clock_text(86'400 + 1), "1 d 0:00:01");
  EXPECT_EQ(clock_text(-1), "0:00");
}

TEST(Speed, LeavesOutTheFirstStep) {
  const Pace::Clock::time_point start{};
  const auto at = [&](int seconds) { return start + std::chrono::seconds(seconds); };
  Pace pace;
  pace.begin_epoch(0, at(0));
  pace.add(100, at(60));  // compiled, tuned
  EXPECT_FALSE(pace.images_per_second().has_value());
  pace.add(300, at(62));
  EXPECT_DOUBLE_EQ(pace.images_per_second().value(), 100);
  pace.begin_epoch(0, at(100));  // a validation lies between
  EXPECT_DOUBLE_EQ(pace.images_per_second().value(), 100) << "known until something newer is";
  pace.add(400, at(102));
  EXPECT_DOUBLE_EQ(pace.images_per_second().value(), 200);
}

}  // namespace
}  // namespace convoy::testing
