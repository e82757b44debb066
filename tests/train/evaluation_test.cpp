#include "src/report/evaluation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/report/evaluation_files.h"

namespace convoy::testing {
namespace {

/// Seven classes, so that top-5 leaves some out. Logits are logarithms of probabilities in percent.
///
///   image  label  answer   confidence  rank of the label
///   0      0      0        0.40        0
///   1      0      1        0.40        1
///   2      1      1        0.94        0
///   3      2      0        0.40        5: not among the first five
///   4      2      0        1/7: a tie of all, 2 classes come first
///   5      6      0        1/7: a tie of all, 6 classes come first
Predictions seven_classes() {
  Predictions predictions;
  predictions.classes = 7;
  predictions.labels = {0, 0, 1, 2, 2, 6};
  const std::vector<std::vector<double>> percents = {{40, 30, 10, 8, 6, 4, 2}, {30, 40, 10, 8, 6, 4, 2},
                                                     {1, 94, 1, 1, 1, 1, 1},   {40, 30, 4, 10, 8, 6, 2},
                                                     {1, 1, 1, 1, 1, 1, 1},    {1, 1, 1, 1, 1, 1, 1}};
  for (const std::vector<double>& row : percents)
    for (const double percent : row) predictions.logits.push_back(std::log(percent));
  return predictions;
}

const std::vector<std::string> foreign_names{"a,b", "say \"x\"", "bell\a", "=1+1", "caf\xc3\xa9", "bad\xff"};

TEST(Evaluation, AccuraciesAreOfTheFirstAndOfFive) {
  const Evaluation evaluation = evaluation_of(seven_classes());
  EXPECT_EQ(evaluation.images, 6);
  EXPECT_EQ(evaluation.correct, 2);
  EXPECT_EQ(evaluation.in_top_5, 4) << "images 0, 1, 2 and 4";
  EXPECT_DOUBLE_EQ(evaluation.top_1_accuracy(), 2.0 / 6);
  EXPECT_DOUBLE_EQ(evaluation.top_5_accuracy(), 4.0 / 6);
}

TEST(Evaluation, TheFirstOfEqualLogitsCounts) {
  const Predictions tie{7, std::vector<double>(14, 3.0), {4, 5}};
  const Evaluation evaluation = evaluation_of(tie);
  EXPECT_EQ(evaluation.in_top_5, 1) << "class 4 is the fifth, class 5 the sixth";
  EXPECT_EQ(evaluation.classes[0].answers, 2);
}

TEST(Evaluation, ClassesHavePrecisionRecallF1AndSupport) {
  const Evaluation evaluation = evaluation_of(seven_classes());
  const std::vector<ClassFigures>& classes = evaluation.classes;
  ASSERT_EQ(classes.size(), 7u);
  // Answered 0: images 0, 3, 4 and 5. Answered 1: images 1 and 2.
  EXPECT_EQ(classes[0].support, 2);
  EXPECT_EQ(classes[0].answers, 4);
  EXPECT_EQ(classes[0].correct, 1);
  EXPECT_DOUBLE_EQ(classes[0].precision().value(), 1.0 / 4);
  EXPECT_DOUBLE_EQ(classes[0].recall().value(), 1.0 / 2);
  EXPECT_DOUBLE_EQ(classes[0].f1().value(), 1.0 / 3) << "2 (1/4) (1/2) / (1/4 + 1/2)";
  EXPECT_DOUBLE_EQ(classes[1].precision().value(), 1.0 / 2);
  EXPECT_DOUBLE_EQ(classes[1].recall().value(), 1);
  EXPECT_DOUBLE_EQ(classes[1].f1().value(), 2.0 / 3);
  EXPECT_EQ(classes[2].precision(), std::nullopt) << "never answered";
  EXPECT_EQ(classes[2].recall(), 0.0);
  EXPECT_EQ(classes[2].f1(), 0.0);
  for (const int empty : {3, 4, 5}) {
    const ClassFigures& figures = classes[static_cast<std::size_t>(empty)];
    EXPECT_EQ(figures.support, 0);
    EXPECT_FALSE(figures.precision() || figures.recall() || figures.f1());
  }
}

TEST(Evaluation, AClassWithoutImagesHasNoFiguresEvenIfItIsAnswered) {
  const Evaluation evaluation = evaluation_of({2, {0, 1}, {0}});
  EXPECT_EQ(evaluation.classes[1].answers, 1);
  EXPECT_FALSE(evaluation.classes[1].precision() || evaluation.classes[1].f1());
}

TEST(Evaluation, TheConfusionMatrixHasARowPerLabel) {
  const Evaluation evaluation = evaluation_of(seven_classes());
  std::vector<std::int64_t> expected(49, 0);
  expected[0 * 7 + 0] = 1, expected[0 * 7 + 1] = 1, expected[1 * 7 + 1] = 1;
  expected[2 * 7 + 0] = 2, expected[6 * 7 + 0] = 1;
  EXPECT_EQ(evaluation.confusion, expected);
}

TEST(Evaluation, CalibrationIsMeasuredInFifteenBins) {
  // Bin 6 (0.333, 0.4]: three images of 0.40, one correct. Bin 15 (0.933, 1]: 0.94, correct.
  // Bin 3 (0.133, 0.2]: two images of 1/7, none correct. Confidences come from logarithms, so an exact border
  // would be a matter of rounding: 0.40 is the border of bins 6 and 7, and both hold these three alone.
  const Evaluation evaluation = evaluation_of(seven_classes());
  const double expected = std::abs(1 - 3 * 0.40) / 6 + std::abs(1 - 0.94) / 6 + 2.0 / 7 / 6;
  EXPECT_NEAR(evaluation.calibration_error, expected, 1e-12);
}

TEST(Evaluation, AnswersOfABinMakeUpForEachOther) {
  // Two classes of logits (0,0) have a confidence of exactly 1/2, in bin 8 (7/15, 8/15]; a certain answer is
  // in the last bin. Answers of one bin make up for each other, those of different bins do not.
  const auto error_of = [](std::vector<double> logits, std::vector<std::int32_t> labels) {
    return evaluation_of({2, std::move(logits), std::move(labels)}).calibration_error;
  };
  EXPECT_EQ(error_of({0, 0, /**/ 0, 0}, {0, 1}), 0);
  EXPECT_EQ(error_of({1000, 0}, {0}), 0);
  EXPECT_EQ(error_of({1000, 0}, {1}), 1);
  EXPECT_EQ(error_of({0, 0, /**/ 1000, 0}, {0, 1}), 0.75) << "|1 - 1/2| / 2 + |0 - 1| / 2";
  EXPECT_EQ(error_of({0, 0, /**/ 0.05, 0, /**/ 0, 0}, {0, 1, 1}),
            std::abs(1 - (1 + 1 / (1 + std::exp(-0.05)))) / 3)
      << "0.512 is in the same bin";
  const double low = std::log(0.51 / 0.49), high = std::log(0.56 / 0.44);
  EXPECT_NEAR(error_of({low, 0, /**/ high, 0}, {0, 1}), (0.49 + 0.56) / 2, 1e-12)
      << "8/15 = 0.533 lies between them";
}

TEST(Evaluation, AnImageWithANanHasNoAnswer) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Evaluation evaluation = evaluation_of({2, {std::nan(""), 1, /**/ inf, inf, /**/ 2, 1}, {0, 0, 0}});
  EXPECT_EQ(evaluation.correct, 2) << "as the loss counts: infinite scores compare, NaN does not";
  EXPECT_EQ(evaluation.in_top_5, 2);
  EXPECT_EQ(evaluation.classes[0].support, 3);
  EXPECT_EQ(evaluation.confusion, (std::vector<std::int64_t>{2, 0, 0, 0}));
  EXPECT_TRUE(std::isfinite(evaluation.calibration_error));
}

TEST(EvaluationFiles, JsonReadsBackWithForeignNamesAndNulls) {
  const Evaluation evaluation = evaluation_of(seven_classes());
  const std::string text = evaluation_json(evaluation, {"test", "check\npoint", std::nan("")}, foreign_names);
  EXPECT_EQ(text.find('\a'), std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_EQ(json["part"], "test");
  EXPECT_EQ(json["weights"], "check\npoint");
  EXPECT_TRUE(json["loss"].is_null());
  EXPECT_EQ(json["images"], 6);
  EXPECT_EQ(json["top_1_accuracy"], evaluation.top_1_accuracy());
  EXPECT_EQ(json["top_5_accuracy"], evaluation.top_5_accuracy());
  EXPECT_EQ(json["expected_calibration_error"], evaluation.calibration_error);
  EXPECT_EQ(json["calibration_bins"], 15);
  ASSERT_EQ(json["classes"].size(), 7u);
  for (std::size_t label = 0; label < 5; ++label)
    EXPECT_EQ(json["classes"][label]["class"], foreign_names[label]);
  EXPECT_EQ(json["classes"][5]["class"], "bad\xef\xbf\xbd");
  EXPECT_EQ(json["classes"][6]["class"], "6");
  EXPECT_EQ(json["classes"][0]["f1"], evaluation.classes[0].f1());
  for (const char* figure : {"precision", "recall", "f1"})
    EXPECT_TRUE(json["classes"][3][figure].is_null()) << figure;
  EXPECT_EQ(json["confusion"][2], (std::vector<int>{2, 0, 0, 0, 0, 0, 0}));
}

TEST(EvaluationFiles, CsvQuotesForeignNames) {
  const Evaluation evaluation = evaluation_of(seven_classes());
  EXPECT_EQ(evaluation_csv(evaluation, foreign_names),
            "label,class,support,answers,correct,precision,recall,f1\n"
            "0,\"a,b\",2,4,1,0.25,0.5,0.3333333333333333\n"
            "1,\"say \"\"x\"\"\",1,2,1,0.5,1,0.6666666666666666\n"
            "2,bell\\x07,2,0,0,,0,0\n"
            "3,'=1+1,0,0,0,,,\n"
            "4,caf\xc3\xa9,0,0,0,,,\n"
            "5,bad\\xff,0,0,0,,,\n"
            "6,6,1,0,0,,0,0\n");
  EXPECT_EQ(evaluation_csv(evaluation_of({1, {0}, {0}}), {}),
            "label,class,support,answers,correct,precision,recall,f1\n0,0,1,1,1,1,1,1\n");
  EXPECT_EQ(confusion_csv(evaluation_of({2, {0, 1, /**/ 1, 0}, {0, 1}}), {"a,b", "\a"}),
            "class,\"a,b\",\\x07\n\"a,b\",0,1\n\\x07,1,0\n");
}

TEST(EvaluationFiles, ATerminalSeesEachClass) {
  const std::string table = evaluation_table(evaluation_of(seven_classes()), foreign_names);
  EXPECT_EQ(table.find("top-1 accuracy 33.33 %, top-5 accuracy 66.67 %, expected calibration error "), 0u);
  EXPECT_NE(table.find("\n   25.00 %    50.00 %    33.33 %          2  a,b\n"), std::string::npos) << table;
  EXPECT_NE(table.find("\n         -     0.00 %     0.00 %          2  bell\\x07\n"), std::string::npos)
      << table;
  EXPECT_NE(table.find("\n         -          -          -          0  caf\xc3\xa9\n"), std::string::npos)
      << table;
  EXPECT_NE(table.find("\n 2 0 0 0 0 0 0  bell\\x07\n"), std::string::npos) << table;
}

TEST(EvaluationFiles, OfManyClassesATerminalSeesTheWorst) {
  Predictions predictions{60, std::vector<double>(60 * 60, 0.0), {}};
  for (int i = 0; i < 60; ++i) {
    predictions.labels.push_back(i);
    predictions.logits[static_cast<std::size_t>(i * 60 + (i == 41 ? 42 : i))] = 1;
  }
  const std::string table = evaluation_table(evaluation_of(predictions), {});
  EXPECT_NE(table.find("the 20 of 60 classes with the lowest F1"), std::string::npos) << table;
  const std::size_t worst = table.find("  41\n"), next = table.find("  42\n");
  ASSERT_NE(worst, std::string::npos) << table;
  EXPECT_LT(worst, next);
  EXPECT_LT(next, table.find("  0\n"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 23);
}

}  // namespace
}  // namespace convoy::testing
