#include "kernels/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <variant>

#include "tests/kernels/op_case.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

OpCase loss_case(const std::string& name, int n, int classes, float smoothing, Source logits_values) {
  OpCase op;
  op.name = name;
  const int global_n = n + 3;  // other ranks hold three more images
  const Tensor logits = op.input("logits", std::move(logits_values));
  const Tensor labels = op.input("labels", integers(n, classes, 2), DType::i32);
  const Tensor loss = op.result("loss", n);
  const Tensor hits = op.result("hits", n, DType::i32);
  const Tensor dlogits = op.result("dlogits", logits.count);
  const Tensor evaluation_loss = op.result("evaluation loss", n);
  const Tensor evaluation_hits = op.result("evaluation hits", n, DType::i32);
  const Tensor metrics = op.input("metrics", {0.5, 7, 11}, DType::f64);
  op.calls = {SoftmaxCrossEntropy{n, classes, global_n, smoothing, logits, labels, loss, hits, dlogits},
              SoftmaxCrossEntropy{
                  n, classes, global_n, smoothing, logits, labels, evaluation_loss, evaluation_hits, {}},
              AccumulateMetrics{n, loss, hits, metrics}};
  op.output = loss;
  op.projection = Values(static_cast<std::size_t>(n), 1.0 / global_n);
  if (n > 0 && logits.count < 3000) op.gradients = {{logits, dlogits}};
  return op;
}

OpCase loss_case(const std::string& name, int n, int classes, float smoothing) {
  return loss_case(name, n, classes, smoothing, uniform(std::int64_t{n} * classes, -3, 3, 1));
}

/// Of the two calls, the one with gradients sees partners' labels.
OpCase blended_case(const std::string& name, int n, int classes, float smoothing, float share) {
  OpCase op = loss_case(name, n, classes, smoothing);
  op.state.blend.share = share;
  std::get<SoftmaxCrossEntropy>(op.calls[0]).partner_labels =
      op.input("partner labels", integers(n, classes, 9), DType::i32);
  return op;
}

/// Of the two calls, both weigh classes, the first by 0, and have a gamma.
OpCase weighted_case(const std::string& name, int classes, float gamma, OpCase op) {
  Values weights = uniform(classes, 0.25, 4, 8).values();
  weights[0] = 0;
  const Tensor class_weights = op.input("class weights", weights);
  for (std::size_t i = 0; i < 2; ++i) {
    auto& call = std::get<SoftmaxCrossEntropy>(op.calls[i]);
    call.class_weights = class_weights, call.gamma = gamma;
  }
  op.name = name;
  return op;
}

/// The same without weights.
OpCase focal_case(const std::string& name, float gamma, OpCase op) {
  for (std::size_t i = 0; i < 2; ++i) std::get<SoftmaxCrossEntropy>(op.calls[i]).gamma = gamma;
  op.name = name;
  return op;
}

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> cases = {
      loss_case("two_classes", 5, 2, 0.0f),
      loss_case("ten_classes", 64, 10, 0.0f),
      loss_case("ten_classes_smoothed", 33, 10, 0.1f),
      loss_case("hundred_classes", 17, 100, 0.05f),
      loss_case("thousand_classes", 3, 1000, 0.1f),
      loss_case("one_row", 1, 10, 0.0f),
      loss_case("no_row", 0, 10, 0.1f),
      loss_case("odd", 257, 33, 0.2f),
      loss_case("large", 4096, 10, 0.0f),
      // Losses from 1e-7 to 60: their sum in double depends on its order.
      loss_case("wide_range", 4099, 3, 0.0f, uniform(3 * 4099, -30, 30, 6)),
      loss_case("large_logits", 16, 10, 0.1f, uniform(160, -1000, 1000, 3)),
  };
  cases.push_back(loss_case("ties", 40, 5, 0.1f, integers(200, 2, 4)));
  cases.back().gradients.clear();  // hits jump there; the loss itself is checked above
  Values with_nan = uniform(60, -1, 1, 5).values();
  with_nan[3] = with_nan[25] = with_nan[50] = std::numeric_limits<double>::quiet_NaN();
  cases.push_back(loss_case("nan_rows", 6, 10, 0.1f, with_nan));
  cases.back().gradients.clear();
  OpCase scaled = loss_case("scaled", 33, 10, 0.1f);
  scaled.gradients.clear();
  std::get<SoftmaxCrossEntropy>(scaled.calls[0]).loss_scale =
      scaled.input("loss scale", {4096, 0, 0, 0, 0, 0});
  cases.push_back(scaled);
  cases.push_back(blended_case("blended", 33, 10, 0.1f, 0.7f));
  cases.push_back(blended_case("blended_mostly_partner", 64, 3, 0.0f, 0.2f));
  cases.push_back(blended_case("blended_all_partner", 17, 100, 0.05f, 0.0f));
  cases.push_back(weighted_case("weighted", 10, 0, loss_case("", 64, 10, 0.0f)));
  cases.push_back(weighted_case("weighted_smoothed", 33, 0, loss_case("", 65, 33, 0.2f)));
  cases.push_back(weighted_case("weighted_thousand", 1000, 0, loss_case("", 2, 1000, 0.1f)));
  cases.push_back(weighted_case("weighted_blended", 10, 0, blended_case("", 33, 10, 0.1f, 0.3f)));
  cases.push_back(weighted_case("weighted_focal", 10, 2, loss_case("", 64, 10, 0.1f)));
  cases.push_back(focal_case("focal", 2, loss_case("", 64, 10, 0.0f)));
  cases.push_back(focal_case("focal_weak", 0.5f, loss_case("", 33, 3, 0.1f)));
  cases.push_back(focal_case("focal_blended", 1.5f, blended_case("", 33, 10, 0.0f, 0.0f)));
  // Some probabilities are 1 and some are 0, in double too.
  cases.push_back(
      focal_case("focal_saturated", 0.5f, loss_case("", 16, 10, 0.1f, uniform(160, -1000, 1000, 3))));
  cases.push_back(weighted_case("weighted_scaled", 10, 2, scaled));
  cases.push_back(weighted_case("weighted_nan_rows", 10, 2, loss_case("", 6, 10, 0.1f, with_nan)));
  cases.back().gradients.clear();
  return cases;
}

CONVOY_OP_TESTS(Loss, loss_cases);

/// The gradient is rounded once; logits are what they are, and losses in full.
std::vector<OpCase> loss_cases_in_16_bits() {
  std::vector<OpCase> cases = in_16_bits(loss_cases(), {"logits", "dlogits"}, 1.05);
  for (OpCase& op : cases) op.storage_tolerance = std::exchange(op.tolerance, 1e-5);
  return cases;
}
CONVOY_STORAGE_TESTS(Loss, loss_cases_in_16_bits);

}  // namespace

// Rules that comparing engines cannot show.
TEST(SoftmaxCrossEntropy, hits_are_the_first_largest_and_never_a_nan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  OpCase op;
  const Tensor logits = op.input("logits", {1, 1, 0, 1, 1, 0, nan, 1, 2, 1, 2, nan});
  const Tensor labels = op.input("labels", {0, 1, 0, 1}, DType::i32);
  const Tensor loss = op.result("loss", 4), hits = op.result("hits", 4, DType::i32);
  op.calls = {SoftmaxCrossEntropy{4, 3, 4, 0.0f, logits, labels, loss, hits, {}}};
  const std::vector<Values> results = OpRunner(op, EngineKind::reference_f64).run();
  EXPECT_EQ(results[3], (Values{1, 0, 0, 0}));
  EXPECT_NEAR(results[2][0], std::log(2 + std::exp(-1)), 1e-12);
  EXPECT_TRUE(std::isnan(results[2][2]));
}

TEST(SoftmaxCrossEntropy, of_blended_images_weighs_both_labels) {
  OpCase op;
  op.state.blend.share = 0.75f;
  const Tensor logits = op.input("logits", {2, 1, 0, 2, 1, 0, 2, 1, 0});
  const Tensor labels = op.input("labels", {0, 1, 2}, DType::i32);
  const Tensor loss = op.result("loss", 3), hits = op.result("hits", 3, DType::i32);
  SoftmaxCrossEntropy call{3, 3, 3, 0.0f, logits, labels, loss, hits, {}};
  call.partner_labels = op.input("partners", {1, 0, 2}, DType::i32);
  op.calls = {call};
  const double log_sum = std::log(std::exp(2) + std::exp(1) + 1);
  for (const float share : {0.75f, 0.25f}) {
    op.state.blend.share = share;
    const std::vector<Values> results = OpRunner(op, EngineKind::reference_f64).run();
    EXPECT_NEAR(results[2][0], log_sum - share * 2 - (1 - share) * 1, 1e-12);
    EXPECT_NEAR(results[2][1], log_sum - share * 1 - (1 - share) * 2, 1e-12);
    EXPECT_NEAR(results[2][2], log_sum, 1e-12);
    EXPECT_EQ(results[3], share > 0.5f ? (Values{1, 0, 0}) : (Values{0, 1, 0}));
  }
}

// By hand: p of both classes is 1/2, and 3/4 of the second in row 1.
TEST(SoftmaxCrossEntropy, focal_and_weighted_by_their_formulas) {
  OpCase op;
  const Tensor logits = op.input("logits", {0, 0, 0, std::log(3.0)}),
               labels = op.input("labels", {0, 1}, DType::i32);
  const Tensor loss = op.result("loss", 2), hits = op.result("hits", 2, DType::i32);
  const Tensor dlogits = op.result("dlogits", 4);
  SoftmaxCrossEntropy call{2, 2, 2, 0.0f, logits, labels, loss, hits, dlogits};
  call.class_weights = op.input("weights", {3, 0.5});
  op.calls = {call};
  Values weighted = OpRunner(op, EngineKind::reference_f64).run()[2];
  EXPECT_NEAR(weighted[0], 3 * std::log(2), 1e-7) << "logits are those of float";
  EXPECT_NEAR(weighted[1], 0.5 * std::log(4.0 / 3), 1e-7);
  call.gamma = 2, op.calls = {call};
  const std::vector<Values> focal = OpRunner(op, EngineKind::reference_f64).run();
  EXPECT_NEAR(focal[2][0], 3 * 0.25 * std::log(2), 1e-7);
  EXPECT_NEAR(focal[2][1], 0.5 * std::log(4.0 / 3) / 16, 1e-7);
  // Over the two images, whatever their weights: d/dx0 of row 0 is 3 (-(1/4) + 2 (1/4) log(1/2)) / 2 / 2.
  EXPECT_NEAR(focal[4][0], 3 * (-0.25 - 0.5 * std::log(2)) / 4, 1e-7);
}

TEST(AccumulateMetrics, adds_to_what_is_there) {
  OpCase op;
  const Tensor loss = op.input("loss", {0.5, 0.25, 4}), hits = op.input("hits", {1, 0, 1}, DType::i32);
  const Tensor metrics = op.input("metrics", {1, 2, 3}, DType::f64);
  op.calls = {AccumulateMetrics{3, loss, hits, metrics}};
  EXPECT_EQ(OpRunner(op, EngineKind::reference_f64).run()[2], (Values{5.75, 4, 6}));
}

class MetricsOf : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  /// The sums of losses that are added in calls of so many, one after the other.
  static Values sums(EngineKind kind, const Values& losses, std::size_t at_once) {
    OpCase op;
    const Tensor metrics = op.input("metrics", {0, 0, 0}, DType::f64);
    for (std::size_t i = 0; i < losses.size(); i += at_once) {
      const Values some(losses.begin() + static_cast<std::ptrdiff_t>(i),
                        losses.begin() + static_cast<std::ptrdiff_t>(std::min(i + at_once, losses.size())));
      const int n = static_cast<int>(some.size());
      op.calls.push_back(AccumulateMetrics{n, op.input(fmt::format("losses {}", i), some),
                                           op.input(fmt::format("hits {}", i), integers(n, 1, 0), DType::i32),
                                           metrics});
    }
    return OpRunner(op, kind).run()[0];
  }
};

// From 1e-9 to 100: plain sums of these doubles have other last digits in another order.
TEST_P(MetricsOf, AnyOrderHaveTheSameDigits) {
  Values losses = uniform(1000, -9, 2, 12).values();
  for (double& loss : losses) loss = static_cast<float>(std::pow(10.0, loss));
  const Values expected = sums(EngineKind::reference_f64, losses, losses.size());
  double exact = 0;
  for (const double loss : losses) exact += loss;
  EXPECT_NEAR(expected[0], exact, 1000 * 0x1p-25);
  std::mt19937 order(1);
  for (const std::size_t at_once : {1000, 333, 64, 1}) {
    std::shuffle(losses.begin(), losses.end(), order);
    EXPECT_EQ(sums(GetParam(), losses, at_once)[0], expected[0]) << at_once;
  }
}

TEST_P(MetricsOf, LossesThatAreNotFiniteAreNot) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sums(GetParam(), {1, infinity, 2}, 3)[0], infinity);
  EXPECT_TRUE(std::isnan(sums(GetParam(), {1, std::nan(""), 2}, 3)[0]));
}

INSTANTIATE_TEST_SUITE_P(Engines, MetricsOf,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::reference_f64,
                                           EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace convoy::testing
