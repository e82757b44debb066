// Softmax cross-entropy with label smoothing (Szegedy et al., 2016), weights of classes and focus on what is
// hard (Lin et al., 2017), and the sums the host reads.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "core/host_device.h"
#include "core/step_state.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// For each row of logits (N,C), with target t = (1 - smoothing) onehot(label) + smoothing / C:
/// loss (N) = -sum_c t_c log softmax(logits)_c; hits (N) i32 = 1 where the label is the first largest logit,
/// and dlogits (N,C) = (softmax - t) / global_n, times the loss scale if there is one; absent in evaluation.
/// A row with a NaN is never a hit. Where images were blended with partners, onehot(label) is
/// share onehot(label) + (1 - share) onehot(partner's label), share = StepState::blend.share (mixup: Zhang,
/// Cisse, Dauphin, Lopez-Paz, ICLR 2018), and a hit is the label with the larger share, of equal ones its
/// own.
///
/// With weights w of classes or a gamma > 0, the focal loss of Lin, Goyal, Girshick, He, Dollar ("Focal Loss
/// for Dense Object Detection", ICCV 2017) in its softmax form, with p = softmax(logits):
///   loss = -sum_c w_c t_c (1 - p_c)^gamma log p_c
/// dlogits is its gradient over global_n, whatever the weights of the batch's labels add up to: so a loss is
/// the same in any batch, pass or rank. PyTorch does this where targets are probabilities
/// (CrossEntropyLoss(weight=w)(logits, t)); with labels it divides by the sum of their weights.
struct SoftmaxCrossEntropy {
  static constexpr const char* name = "softmax_cross_entropy";
  int n = 0, classes = 0;
  int global_n = 1;  ///< images of the global batch, over all ranks
  float smoothing = 0.0f;
  Tensor logits, labels, loss, hits, dlogits;
  Tensor loss_scale = {};      ///< optional (kernels/loss_scale.h)
  Tensor partner_labels = {};  ///< (N), absent unless images are blended
  Tensor class_weights = {};   ///< optional (C)
  float gamma = 0.0f;          ///< 0: no focus
  /// Whether it is more than cross-entropy.
  bool weighs() const { return class_weights || gamma > 0; }
  std::int64_t flops() const { return std::int64_t{8} * n * classes; }
  std::string describe() const {
    return fmt::format("n={} classes={}{}{}", n, classes, class_weights ? " weighted" : "",
                       gamma > 0 ? fmt::format(" gamma={}", gamma) : "");
  }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.logits), v.reads(call.labels), v.writes(call.loss), v.writes(call.hits),
        v.writes(call.dlogits), v.reads(call.loss_scale), v.reads(call.partner_labels),
        v.reads(call.class_weights);
  }
};

/// metrics (3) f64 += {sum of rounded_loss(loss (N)), sum of hits (N), N}. While the sum of losses stays
/// below 2^29 (77 million images at ln 1000 each), no addition rounds, and the sum does not depend on the
/// order of images, passes or ranks. Beyond that its last digit may. Training also votes: votes (2) = {sum of
/// loss / global_n, StepState::stop}, to be summed over ranks.
struct AccumulateMetrics {
  static constexpr const char* name = "metrics";
  int n = 0;
  Tensor loss, hits, metrics;
  int global_n = 1;             ///< as in SoftmaxCrossEntropy
  bool skip_nonfinite = false;  ///< a sum of losses that is not finite leaves the metrics as they are
  Tensor votes = {};            ///< absent in evaluation
  std::int64_t flops() const { return 2 * n; }
  std::string describe() const { return fmt::format("n={}", n); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.loss), v.reads(call.hits), v.updates(call.metrics), v.writes(call.votes);
  }
};

/// The summed votes (2) of a training step become its report, in reports (report_slots,report_fields) f64
/// (core/step_state.h).
struct ReportStep {
  static constexpr const char* name = "report";
  Tensor votes, reports;
  std::int64_t flops() const { return 0; }
  std::string describe() const { return {}; }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.votes), v.writes(call.reports);
  }
};

/// A loss as it is added to others: the nearest multiple of 2^-24, which a float of 0.5 or more always is.
/// Sums of such multiples are exact in double below 2^53 of them. Infinity and NaN stay what they are.
CONVOY_HOST_DEVICE inline double rounded_loss(double loss) {
  return rint(loss * 0x1p24) * 0x1p-24;
}

/// A class's part of a focal loss, for a weight of 1, and its derivative by log p.
template <class T>
struct FocalTerm {
  T value, slope;
};
/// value = -(1 - p)^gamma log p; slope = (1 - p)^gamma (gamma p log p / (1 - p) - 1), which is never NaN for
/// log_p in [-inf, 0].
template <class T>
CONVOY_HOST_DEVICE FocalTerm<T> focal_term(T log_p, T gamma) {
  if (gamma == T(0)) return {-log_p, T(-1)};
  const T miss = -std::expm1(log_p);  // 1 - p
  if (miss == T(0)) return {T(0), T(0)};
  const T focus = std::pow(miss, gamma), p = std::exp(log_p);
  const T entropy = p > T(0) ? p * log_p / miss : p * T(0);
  return {-focus * log_p, focus * (gamma * entropy - T(1))};
}

/// What AccumulateMetrics adds and votes for a batch's sums.
template <class T>
CONVOY_HOST_DEVICE void add_to_metrics(const AccumulateMetrics& call, double loss, double hits,
                                       std::int32_t stop, double* metrics, T* votes) {
  if (votes != nullptr) votes[0] = static_cast<T>(loss / call.global_n), votes[1] = static_cast<T>(stop != 0);
  if (call.skip_nonfinite && !(loss - loss == 0)) return;
  metrics[0] += loss;
  metrics[1] += hits;
  metrics[2] += call.n;
}

/// Where `step` reports (report_fields), and the serial number that says it has.
CONVOY_HOST_DEVICE inline double* report_of(double* reports, std::int64_t step) {
  return reports + step % report_slots * report_fields;
}
CONVOY_HOST_DEVICE inline double serial_of(std::int64_t step) {
  return static_cast<double>(step + 1);  // memory of zeros is no report
}
/// The report of `step`, but for its serial number, which the caller writes once the rest is seen to be
/// there.
template <class T>
CONVOY_HOST_DEVICE double* fill_report(double* reports, std::int64_t step, const T* votes) {
  double* report = report_of(reports, step);
  report[report_loss] = votes[0];
  report[report_stop] = votes[1];
  return report;
}

CONVOY_LAUNCHERS(SoftmaxCrossEntropy);
CONVOY_LAUNCHERS(AccumulateMetrics);
CONVOY_LAUNCHERS(ReportStep);

}  // namespace convoy
