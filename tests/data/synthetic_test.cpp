// Noise in the shape of a data set.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "src/data/source_info.h"
#include "tests/data/support.h"
#include "tests/thread_variable.h"

namespace convoy::testing {
namespace {

constexpr int train = 3000, test = 700, classes = 5;
constexpr std::size_t pixels = 7 * 5 * 3;  // not a multiple of the bytes of a draw

class Synthetic : public ::testing::Test {
 protected:
  Synthetic() {
    config.source = Source::synthetic;
    config.synthetic = {{3, 7, 5}, classes, train, test};
  }
  DataConfig config;
};

TEST_F(Synthetic, HasTheShapeThatIsKnownBeforehand) {
  const Dataset data = load_dataset(config, 1);
  const SourceInfo info = source_info(config);
  EXPECT_EQ(data.image, (FeatureShape{1, 7, 5, 3}));
  EXPECT_EQ(data.image, info.image);
  EXPECT_EQ(data.classes, info.classes);
  EXPECT_EQ(data.train.size(), static_cast<std::size_t>(info.train));
  EXPECT_EQ(data.validation.size(), static_cast<std::size_t>(info.validation));
  EXPECT_EQ(data.images.size(), (train + test) * pixels);
  EXPECT_EQ(data.train.front(), 0);
  EXPECT_EQ(data.validation.front(), train);
  EXPECT_EQ(data.validation.back(), train + test - 1);
  config.synthetic.image = {2, 3, 4, 5};
  EXPECT_EQ(load_dataset(config, 1).image, (FeatureShape{3, 4, 5, 2}));
}

TEST_F(Synthetic, IsUniformInEveryBytePositionAndLabel) {
  const Dataset data = load_dataset(config, 1);
  std::array<int, classes> labels{};
  for (const std::int32_t label : data.labels) ++labels.at(static_cast<std::size_t>(label));
  const double per_label = (train + test) / static_cast<double>(classes);  // 740, deviation 24
  for (const int count : labels) EXPECT_NEAR(count, per_label, 120);
  for (std::size_t p = 0; p < pixels; ++p) {
    double sum = 0;
    std::array<int, 4> quarters{};
    for (std::size_t i = 0; i < data.labels.size(); ++i) {
      const std::uint8_t byte = data.images[i * pixels + p];
      sum += byte;
      ++quarters.at(byte / 64);
    }
    EXPECT_NEAR(sum / (train + test), 127.5, 6) << "byte " << p;  // deviation 1.2
    for (const int count : quarters) EXPECT_NEAR(count, (train + test) / 4, 140) << "byte " << p;  // 26
  }
}

TEST_F(Synthetic, IsAFunctionOfTheSeedNotOfThreadsOrTheTestPart) {
  ThreadVariable threads(3);
  const Dataset data = load_dataset(config, 1);
  threads.set(1);
  config.validation_fraction = 0.1;
  EXPECT_EQ(load_dataset(config, 1).test.size(), static_cast<std::size_t>(test));
  EXPECT_EQ(source_info(config).test, test);
  config.test = DataConfig::Test::none;  // it is not made then
  EXPECT_EQ(source_info(config).test, 0);
  const Dataset alone = load_dataset(config, 1);
  ASSERT_EQ(alone.images.size(), train * pixels);
  EXPECT_EQ(alone.train.size() + alone.validation.size(), static_cast<std::size_t>(train));
  EXPECT_TRUE(std::equal(alone.images.begin(), alone.images.end(), data.images.begin()));
  EXPECT_TRUE(std::equal(alone.labels.begin(), alone.labels.end(), data.labels.begin()));
  const Dataset other = load_dataset(config, 2);
  EXPECT_NE(other.images, alone.images);
  EXPECT_NE(other.labels, alone.labels);
}

TEST_F(Synthetic, NoTwoImagesAreEqual) {
  const Dataset data = load_dataset(config, 1);
  std::set<std::string> images;
  for (auto it = data.images.begin(); it != data.images.end(); it += pixels) images.emplace(it, it + pixels);
  EXPECT_EQ(images.size(), data.labels.size());
}

TEST_F(Synthetic, MoreThanTheMemoryHoldsIsRefused) {
  config.synthetic = {{2, 65536, 65536}, 2, 1'000'000'000, 1'000'000'000};  // 2^64 bytes, nearly
  expect_contains(message_of_loading(config), {"data.synthetic", "(65536,65536,2)", "do not fit"});
}

}  // namespace
}  // namespace convoy::testing
