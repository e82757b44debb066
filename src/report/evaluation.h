// What a network's answers are worth: the field's usual figures, as functions of logits and labels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/session/session.h"

namespace convoy {

/// The logits (classes) of an image.
std::span<const double> logits_of(const Predictions& predictions, std::size_t image);
/// The class with the largest logit, of equal ones the first, as the loss counts correct answers.
int answer_of(std::span<const double> logits);
/// log(sum(exp(logits)))
double log_sum(std::span<const double> logits);
/// The softmax's value for a class with this logit; 0 where scores overflow.
double probability_of(double logit, double log_sum_of_logits);

/// counts (classes,classes): the row is the label, the column the answer of the network. An image with a NaN
/// among its logits has no answer, as in the loss, and is not counted.
std::vector<std::int64_t> confusion_matrix(const Predictions& predictions);

/// Of a class. Figures are absent where they would divide by zero, and for a class without images.
struct ClassFigures {
  std::int64_t support = 0;  ///< images of the class
  std::int64_t answers = 0;  ///< images that the network takes for the class
  std::int64_t correct = 0;  ///< images of the class that the network takes for it

  std::optional<double> precision() const;  ///< correct / answers
  std::optional<double> recall() const;     ///< correct / support
  /// 2 correct / (support + answers), the harmonic mean of both (van Rijsbergen, Information Retrieval, 1979)
  std::optional<double> f1() const;
};

constexpr int calibration_bins = 15;

/// Of the answers for a part of the data; the same for any number of ranks if the logits are.
struct Evaluation {
  std::int64_t images = 0;    ///< at least 1
  std::int64_t correct = 0;   ///< the label is the answer
  std::int64_t in_top_5 = 0;  ///< the label is among the five largest logits; of equal ones the first count
  /// sum over bins b of |b| / images |accuracy of b - mean confidence of b|: confidence is the probability of
  /// the answer, bin m of 15 has those in ((m-1) / 15, m / 15] (Guo, Pleiss, Sun, Weinberger, "On Calibration
  /// of Modern Neural Networks", ICML 2017, equation 3).
  double calibration_error = 0;
  std::vector<ClassFigures> classes;
  std::vector<std::int64_t> confusion;  ///< as confusion_matrix() has it

  double top_1_accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
  double top_5_accuracy() const { return static_cast<double>(in_top_5) / static_cast<double>(images); }
};

/// `predictions`: of one image or more.
Evaluation evaluation_of(const Predictions& predictions);

/// What Session::evaluate() would return of these answers.
Metrics metrics_of(const Predictions& predictions);

/// Of several views of each image the mean of their logits, as torchvision's and timm's examples take it;
/// collective. The same on every rank, and for any number of ranks if the logits are.
Predictions evaluate_views(Session& session, std::span<const View> views, Part part);

/// Whether the logits of all images of a part, and a confusion matrix, are few enough to be gathered on every
/// rank for figures alone: 2^26 numbers, which take 512 MiB. The same on every rank.
bool affords_evaluation(const Session& session, Part part);

}  // namespace convoy
