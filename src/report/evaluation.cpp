#include "src/report/evaluation.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace convoy {
namespace {

constexpr std::int64_t most_numbers = std::int64_t{1} << 26;

bool has_answer(std::span<const double> logits) {
  return std::none_of(logits.begin(), logits.end(), [](double logit) { return std::isnan(logit); });
}

/// How many classes come before `label` in the order of their logits.
std::int64_t rank_of(std::span<const double> logits, int label) {
  const double of_label = logits[static_cast<std::size_t>(label)];
  const auto earlier = logits.begin() + label;
  return std::count_if(logits.begin(), earlier, [&](double logit) { return logit >= of_label; }) +
         std::count_if(earlier, logits.end(), [&](double logit) { return logit > of_label; });
}

/// Sums over the images of a bin.
struct CalibrationBin {
  double correct = 0, confidence = 0;
};

std::optional<double> ratio(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::span<const double> logits_of(const Predictions& predictions, std::size_t image) {
  const auto classes = static_cast<std::size_t>(predictions.classes);
  return std::span(predictions.logits).subspan(image * classes, classes);
}

int answer_of(std::span<const double> logits) {
  return static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double log_sum(std::span<const double> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

double probability_of(double logit, double log_sum_of_logits) {
  const double share = std::exp(logit - log_sum_of_logits);
  return std::isnan(share) ? 0.0 : share;
}

std::vector<std::int64_t> confusion_matrix(const Predictions& predictions) {
  const auto classes = static_cast<std::size_t>(predictions.classes);
  std::vector<std::int64_t> counts(classes * classes, 0);
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    const std::span<const double> logits = logits_of(predictions, i);
    if (!has_answer(logits)) continue;
    const auto label = static_cast<std::size_t>(predictions.labels[i]);
    ++counts[label * classes + static_cast<std::size_t>(answer_of(logits))];
  }
  return counts;
}

std::optional<double> ClassFigures::precision() const {
  return support == 0 ? std::nullopt : ratio(correct, answers);
}

std::optional<double> ClassFigures::recall() const {
  return ratio(correct, support);
}

std::optional<double> ClassFigures::f1() const {
  return support == 0 ? std::nullopt : ratio(2 * correct, support + answers);
}

Evaluation evaluation_of(const Predictions& predictions) {
  const auto classes = static_cast<std::size_t>(predictions.classes);
  Evaluation out;
  out.images = std::ssize(predictions.labels);
  check(out.images > 0, "an evaluation is of at least one image");
  out.confusion = confusion_matrix(predictions);
  out.classes.resize(classes);
  std::array<CalibrationBin, calibration_bins> bins;
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    const std::int32_t label = predictions.labels[i];
    ++out.classes[static_cast<std::size_t>(label)].support;
    const std::span<const double> logits = logits_of(predictions, i);
    if (!has_answer(logits)) continue;
    if (rank_of(logits, label) < 5) ++out.in_top_5;
    const int answer = answer_of(logits);
    const double confidence = probability_of(logits[static_cast<std::size_t>(answer)], log_sum(logits));
    const int bin =
        std::clamp(static_cast<int>(std::ceil(confidence * calibration_bins)), 1, calibration_bins);
    CalibrationBin& sums = bins[static_cast<std::size_t>(bin - 1)];
    sums.confidence += confidence;
    sums.correct += answer == label ? 1 : 0;
  }
  for (std::size_t label = 0; label < classes; ++label) {
    ClassFigures& figures = out.classes[label];
    figures.correct = out.confusion[label * classes + label];
    for (std::size_t row = 0; row < classes; ++row) figures.answers += out.confusion[row * classes + label];
    out.correct += figures.correct;
  }
  for (const CalibrationBin& bin : bins)
    out.calibration_error += std::abs(bin.correct - bin.confidence) / static_cast<double>(out.images);
  return out;
}

Metrics metrics_of(const Predictions& predictions) {
  Metrics metrics;
  for (std::size_t image = 0; image < predictions.labels.size(); ++image) {
    const std::span<const double> logits = logits_of(predictions, image);
    const std::int32_t label = predictions.labels[image];
    metrics.loss_sum += log_sum(logits) - logits[static_cast<std::size_t>(label)];
    metrics.correct += answer_of(logits) == label ? 1 : 0;
    metrics.count += 1;
  }
  return metrics;
}

Predictions evaluate_views(Session& session, std::span<const View> views, Part part) {
  Predictions mean;
  for (const View& view : views) {
    Predictions predictions;
    session.evaluate(&predictions, part, view);
    if (mean.logits.empty()) {
      mean = std::move(predictions);
      continue;
    }
    for (std::size_t i = 0; i < mean.logits.size(); ++i) mean.logits[i] += predictions.logits[i];
  }
  for (double& logit : mean.logits) logit /= static_cast<double>(views.size());
  return mean;
}

bool affords_evaluation(const Session& session, Part part) {
  const PlanSet& plans = session.plans();
  std::int64_t images = 0;
  for (const Range& batch : part == Part::test ? plans.test_batches : plans.evaluation_batches)
    images += batch.count;
  const std::int64_t classes = session.graph().classes();
  return std::max(images, classes) * classes <= most_numbers;
}

}  // namespace convoy
