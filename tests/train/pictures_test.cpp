#include "src/report/pictures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "src/report/evaluation.h"

namespace convoy::testing {
namespace {

TEST(Pictures, AContactSheetPutsTilesInRows) {
  const Picture a{1, 2, 1, {1, 2}}, b{1, 2, 1, {3, 4}}, c{1, 2, 1, {5, 6}};
  const Picture sheet = contact_sheet({a, b, c}, 1);
  EXPECT_EQ(sheet.height, 3);
  EXPECT_EQ(sheet.width, 5);
  EXPECT_EQ(sheet.pixels,
            (std::vector<std::uint8_t>{1, 2, 255, 3, 4, 255, 255, 255, 255, 255, 5, 6, 255, 255, 255}));
  const Picture large = contact_sheet({a}, 2);
  EXPECT_EQ(large.pixels, (std::vector<std::uint8_t>{1, 1, 2, 2, 1, 1, 2, 2}));
}

TEST(Pictures, FiltersSpanBlackToWhite) {
  Parameter weight;
  weight.dims = {2, 1, 1, 2, 1};
  const Picture sheet = filter_picture(weight, std::vector<double>{-1, 0, 1, 0});
  EXPECT_EQ(sheet.channels, 1);
  EXPECT_EQ(sheet.height, 24);
  EXPECT_EQ(sheet.width, 2 * 48 + 1);
  EXPECT_EQ(sheet.pixels[0], 0);
  EXPECT_EQ(sheet.pixels[24], 128);
  EXPECT_EQ(sheet.pixels[49], 255);
}

TEST(Pictures, OnlyFiltersThatSeeColoursOrGrayAreShown) {
  const auto graph_of = [](const std::string& input, const std::string& layer) {
    return build_graph(
        parse_config("model: {input: " + input + ", layers: [" + layer + ", flatten, linear: 2]}", "t", {})
            .model);
  };
  const Graph colours = graph_of("[3, 5, 5]", "relu, conv: {out: 2, kernel: 3}");
  ASSERT_NE(first_filters(colours), nullptr);
  EXPECT_EQ(first_filters(colours)->name, "1.weight");
  EXPECT_EQ(first_filters(graph_of("[2, 5, 5]", "conv: {out: 2, kernel: 3}")), nullptr);
  EXPECT_EQ(first_filters(graph_of("[1, 5, 5, 5]", "conv: {out: 2, kernel: 3}")), nullptr);
  EXPECT_EQ(first_filters(graph_of("[1, 5, 5]", "relu")), nullptr);
}

TEST(Pictures, ImagesOfOtherChannelsShowTheirFirst) {
  const std::vector<std::uint8_t> pixels = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(image_picture({1, 2, 2, 2}, pixels).pixels, (std::vector<std::uint8_t>{1, 3, 5, 7}));
  EXPECT_EQ(image_picture({2, 2, 2, 1}, pixels).pixels, (std::vector<std::uint8_t>{5, 6, 7, 8}));
  EXPECT_EQ(image_picture({1, 1, 2, 3}, std::span(pixels).first(6)).channels, 3);
}

TEST(Pictures, ConfusionsAndMistakesAreCounted) {
  Predictions predictions;
  predictions.classes = 2;
  predictions.labels = {0, 1, 1, 0};
  predictions.logits = {2, 1, /**/ 3, 1, /**/ 0, 5, /**/ 1, 1.5};
  const std::vector<std::int64_t> counts = confusion_matrix(predictions);
  EXPECT_EQ(counts, (std::vector<std::int64_t>{1, 1, 1, 1}));
  const Picture confusion = confusion_picture(2, counts, {"cat", "horse"});
  constexpr int margin = 4 + 29 + 4;  // a name of five letters
  ASSERT_EQ(confusion.width, margin + 2 * 32 + 1 + 4);
  ASSERT_EQ(confusion.height, confusion.width);
  const auto dark = [&](int top, int left, int bottom, int right) {
    int count = 0;
    for (int y = top; y < bottom; ++y)
      for (int x = left; x < right; ++x)
        count += confusion.pixels[static_cast<std::size_t>((y * confusion.width + x) * 3)] == 0;
    return count;
  };
  EXPECT_GT(dark(margin, 0, margin + 32, margin), 20) << "the first row's name";
  EXPECT_EQ(dark(margin, 0, margin + 32, margin), dark(0, margin, margin, margin + 32))
      << "and its column's, turned";
  EXPECT_GT(dark(margin + 33, 0, margin + 65, margin), dark(margin, 0, margin + 32, margin));
  EXPECT_EQ(confusion_picture(201, std::vector<std::int64_t>(201 * 201), {}).width, 201 * 3 - 1)
      << "no names fit";
  const Predictions one_taken_for_zero{2, {3, 1}, {1}};
  EXPECT_EQ(confusion_matrix(one_taken_for_zero), (std::vector<std::int64_t>{0, 0, 1, 0}))
      << "a row per label";

  const std::vector<Mistake> mistakes = worst_mistakes(predictions, 5);
  ASSERT_EQ(mistakes.size(), 2u);
  EXPECT_EQ(mistakes[0].image, 1);
  EXPECT_EQ(mistakes[0].answer, 0);
  EXPECT_NEAR(mistakes[0].certainty, 1 / (1 + std::exp(-2.0)), 1e-12);
  EXPECT_NEAR(mistakes[0].of_label, 1 / (1 + std::exp(2.0)), 1e-12);
  EXPECT_EQ(mistakes[1].image, 3);
  EXPECT_EQ(worst_mistakes(predictions, 1).size(), 1u);
  EXPECT_NE(list_of(mistakes, {}).find("| 1 | 1 | 1 | 0 | 0.8808 |"), std::string::npos);
  EXPECT_NE(list_of(mistakes, {"cat", "dog"}).find("| 2 | 3 | cat | dog |"), std::string::npos);
}

TEST(Pictures, ScoresThatOverflowAreTheWorstMistakes) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Predictions predictions{2, {5, 0, /**/ std::nan(""), 1, /**/ 3, 0, /**/ inf, inf}, {1, 1, 1, 1}};
  std::vector<std::int64_t> order;
  for (const Mistake& mistake : worst_mistakes(predictions, 4)) order.push_back(mistake.image);
  EXPECT_EQ(order, (std::vector<std::int64_t>{1, 3, 0, 2}));
  EXPECT_EQ(count_overflows(predictions), 2);
}

}  // namespace
}  // namespace convoy::testing
