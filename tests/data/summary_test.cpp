// Counts, statistics and the contact sheet of a data set.
#include "src/data/summary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace convoy::testing {
namespace {

/// Three classes; sample i is all of value 10 i in channel 0, and of class i % 3, but class 2 has no training
/// image.
Dataset striped(const FeatureShape& image, int samples) {
  Dataset data;
  data.image = image;
  data.classes = 3;
  for (int i = 0; i < samples; ++i) {
    data.labels.push_back(i % 3);
    (i % 3 == 2 ? data.validation : data.train).push_back(i);
    for (std::int64_t p = 0; p < image.pixels(); ++p) {
      for (int c = 0; c < image.c; ++c) data.images.push_back(static_cast<std::uint8_t>(c == 0 ? 10 * i : 7));
    }
  }
  return data;
}

TEST(DataSummary, CountsClassesAndChannels) {
  const DataSummary summary = summarize(striped({1, 4, 5, 2}, 9));
  EXPECT_EQ(summary.train, (std::vector<std::int64_t>{3, 3, 0}));
  EXPECT_EQ(summary.validation, (std::vector<std::int64_t>{0, 0, 3}));
  EXPECT_EQ(summary.test, (std::vector<std::int64_t>{0, 0, 0}));
  const double values[] = {0, 10, 30, 40, 60, 70};  // of training images alone
  double mean = 0, square = 0;
  for (const double v : values) mean += v / 255 / 6, square += v * v / 255 / 255 / 6;
  ASSERT_EQ(summary.mean.size(), 2u);
  EXPECT_NEAR(summary.mean[0], mean, 1e-12);
  EXPECT_NEAR(summary.std[0], std::sqrt(square - mean * mean), 1e-12);
  EXPECT_NEAR(summary.mean[1], 7.0 / 255, 1e-12);
  EXPECT_NEAR(summary.std[1], 0, 1e-12);
}

TEST(DataSummary, OfNoTrainingImageIsZero) {
  Dataset data = striped({1, 4, 5, 1}, 3);
  data.train.clear();
  EXPECT_EQ(summarize(data).mean, (std::vector<double>{0}));
}

/// Where tiles begin: behind the names of classes, of which the longest has five letters.
constexpr int left_of_tiles = 2 + 5 * 6 - 1 + 4;
const std::vector<std::string> names{"a", "b", "three"};

TEST(ContactSheet, HasARowPerClass) {
  const Picture sheet = contact_sheet(striped({1, 9, 5, 3}, 12), 3, names);
  ASSERT_EQ(sheet.channels, 3);
  ASSERT_EQ(sheet.height, 2 + 3 * 11);
  ASSERT_EQ(sheet.width, left_of_tiles + 3 * 7);
  const auto at = [&](int row, int column, int channel) {  // the corner of a tile
    return int{sheet.pixels[static_cast<std::size_t>(
        ((2 + row * 11) * sheet.width + left_of_tiles + column * 7) * 3 + channel)]};
  };
  EXPECT_EQ(at(0, 0, 0), 0);
  EXPECT_EQ(at(0, 1, 0), 30);
  EXPECT_EQ(at(0, 2, 0), 60);
  EXPECT_EQ(at(1, 2, 0), 70);
  EXPECT_EQ(at(1, 2, 1), 7);
  EXPECT_EQ(at(2, 0, 0), 255) << "a class without images stays white";
  for (int y = 0; y < sheet.height; ++y)
    EXPECT_EQ(int{sheet.pixels[static_cast<std::size_t>(y * sheet.width * 3)]}, 255) << "the gap, row " << y;
}

TEST(ContactSheet, NamesRows) {
  const Dataset data = striped({1, 9, 5, 1}, 12);
  const Picture named = contact_sheet(data, 1, names), numbered = contact_sheet(data, 1, {});
  const auto black = [](const Picture& sheet, int row, int width) {
    int count = 0;
    for (int y = 2 + row * 11; y < 2 + row * 11 + 9; ++y)
      for (int x = 2; x < 2 + width; ++x)
        count += sheet.pixels[static_cast<std::size_t>(y * sheet.width + x)] == 0;
    return count;
  };
  for (int row = 0; row < 3; ++row) {
    EXPECT_GT(black(named, row, 5), 5) << row;
    EXPECT_GT(black(numbered, row, 5), 5) << row;
  }
  EXPECT_EQ(black(named, 0, 29) - black(named, 0, 5), 0) << "a letter alone";
  EXPECT_GT(black(named, 2, 29), 30) << "five letters";
}

TEST(ContactSheet, ShrinksLargeImagesAndSlicesVolumes) {
  const Picture large = contact_sheet(striped({1, 200, 100, 1}, 3), 1, {});
  EXPECT_EQ(large.height, 2 + 3 * (66 + 2));  // a third
  EXPECT_EQ(large.width, 2 + 5 + 4 + 33 + 2);
  Dataset data = striped({3, 9, 2, 2}, 1);
  data.images[2 * 18] = 99;  // the first pixel of the middle slice
  const Picture volume = contact_sheet(data, 1, {});
  EXPECT_EQ(volume.channels, 1);
  EXPECT_EQ(int{volume.pixels[static_cast<std::size_t>(2 * volume.width + 2 + 5 + 4)]}, 99);
}

}  // namespace
}  // namespace convoy::testing
