// The built-in data set.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "src/data/dataset.h"
#include "tests/thread_variable.h"

namespace convoy::testing {
namespace {

constexpr std::size_t pixels = 28 * 28;

std::span<const std::uint8_t> image(const Dataset& data, std::int32_t id) {
  return std::span(data.images).subspan(static_cast<std::size_t>(id) * pixels, pixels);
}
std::int32_t label(const Dataset& data, std::int32_t id) {
  return data.labels[static_cast<std::size_t>(id)];
}

/// With the test part, or without.
Dataset draw_digits(std::uint64_t seed, bool test) {
  DataConfig config;
  if (!test) {
    config.validation_fraction = 0.5;
    config.test = DataConfig::Test::none;
  }
  return load_dataset(config, seed);
}

// Drawn once for all tests but those of drawing itself.
class Digits : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { drawn = std::make_unique<const Dataset>(draw_digits(1, true)); }
  static void TearDownTestSuite() { drawn.reset(); }

  static inline std::unique_ptr<const Dataset> drawn;
  const Dataset& data = *drawn;
};

TEST_F(Digits, HaveTheSizesOfMnist) {
  EXPECT_EQ(data.image, (FeatureShape{1, 28, 28, 1}));
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.images.size(), 70000 * pixels);
  ASSERT_EQ(data.train.size(), 60000u);
  ASSERT_EQ(data.validation.size(), 10000u);
  EXPECT_EQ(data.train.front(), 0);
  EXPECT_EQ(data.validation.front(), 60000);
  EXPECT_EQ(data.validation.back(), 69999);
}

TEST_F(Digits, AreBalancedAndMixed) {
  const auto count = [&](const std::vector<std::int32_t>& ids) {
    std::array<int, 10> counts{};
    for (const std::int32_t id : ids) ++counts.at(static_cast<std::size_t>(label(data, id)));
    return counts;
  };
  std::array<int, 10> expected{};
  expected.fill(6000);
  EXPECT_EQ(count(data.train), expected);
  expected.fill(1000);
  EXPECT_EQ(count(data.validation), expected);
  for (const int in_hundred : count({data.train.begin(), data.train.begin() + 1000}))
    EXPECT_NEAR(in_hundred, 100, 50);
}

TEST_F(Digits, AreAFunctionOfTheSeedNotOfThreadsOrTheTestPart) {
  ThreadVariable threads(3);
  const Dataset again = draw_digits(1, true);
  threads.set(1);
  const Dataset train = draw_digits(1, false);
  EXPECT_TRUE(again.images == data.images);
  EXPECT_TRUE(again.labels == data.labels);
  ASSERT_EQ(train.images.size(), 60000 * pixels);
  EXPECT_TRUE(std::equal(train.images.begin(), train.images.end(), data.images.begin()));
  EXPECT_TRUE(std::equal(train.labels.begin(), train.labels.end(), data.labels.begin()));
}

TEST_F(Digits, DifferWithTheSeed) {
  const Dataset other = draw_digits(2, false);
  EXPECT_FALSE(std::equal(other.images.begin(), other.images.end(), data.images.begin()));
  EXPECT_FALSE(std::equal(other.labels.begin(), other.labels.end(), data.labels.begin()));
}

TEST_F(Digits, NoTwoImagesAreEqual) {
  for (std::int32_t id = 1; id < 1000; ++id) {
    EXPECT_FALSE(std::equal(image(data, id).begin(), image(data, id).end(), image(data, id - 1).begin()))
        << id;
  }
  EXPECT_FALSE(std::equal(image(data, 0).begin(), image(data, 0).end(), image(data, 60000).begin()));
}

// The nearest mean image of a class, learned on the training part, names most test images, so that labels
// belong to what is drawn; but far from all of them, so that there is something left for a network.
TEST_F(Digits, LookLikeTheirLabelsButNotTooMuch) {
  std::array<std::array<double, pixels>, 10> mean{};
  for (const std::int32_t id : data.train) {
    auto& sum = mean.at(static_cast<std::size_t>(label(data, id)));
    for (std::size_t i = 0; i < pixels; ++i) sum[i] += image(data, id)[i] / 6000.0;
  }
  int correct = 0;
  for (std::size_t n = 0; n < 2000; ++n) {
    const std::int32_t id = data.validation[n];
    int best = -1;
    double least = std::numeric_limits<double>::max();
    for (int c = 0; c < 10; ++c) {
      double distance = 0;
      for (std::size_t i = 0; i < pixels; ++i) {
        const double d = image(data, id)[i] - mean[static_cast<std::size_t>(c)][i];
        distance += d * d;
      }
      if (distance < least) least = distance, best = c;
    }
    correct += best == label(data, id);
  }
  EXPECT_GT(correct, 1000);
  EXPECT_LT(correct, 1800);
}

}  // namespace
}  // namespace convoy::testing
