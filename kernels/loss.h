// Softmax cross-entropy with label smoothing (Szegedy et al., 2016), and the sums the host reads.
#pragma once

#include <fmt/format.h>

#include <string>

#include "kernels/contexts.h"
#include "src/core/tensor.h"

namespace convoy {

/// For each row of logits (N,C), with target t = (1 - smoothing) onehot(label) + smoothing / C:
/// loss (N) = -sum_c t_c log softmax(logits)_c; hits (N) i32 = 1 where the label is the first largest logit,
/// and dlogits (N,C) = (softmax - t) / global_n, times the loss scale if there is one; absent in evaluation.
/// A row with a NaN is never a hit.
struct SoftmaxCrossEntropy {
  static constexpr const char* name = "softmax_cross_entropy";
  int n = 0, classes = 0;
  int global_n = 1;  ///< images of the global batch, over all ranks
  float smoothing = 0.0f;
  Tensor logits, labels, loss, hits, dlogits;
  Tensor loss_scale = {};  ///< optional (kernels/loss_scale.h)
  std::int64_t flops() const { return std::int64_t{8} * n * classes; }
  std::string describe() const { return fmt::format("n={} classes={}", n, classes); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.logits), v.reads(call.labels), v.writes(call.loss), v.writes(call.hits),
        v.writes(call.dlogits), v.reads(call.loss_scale);
  }
};

/// metrics (3) f64 += {sum of loss (N), sum of hits (N), N}, summed in index order (or a fixed tree).
struct AccumulateMetrics {
  static constexpr const char* name = "metrics";
  int n = 0;
  Tensor loss, hits, metrics;
  std::int64_t flops() const { return 2 * n; }
  std::string describe() const { return fmt::format("n={}", n); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.loss), v.reads(call.hits), v.updates(call.metrics);
  }
};

CONVOY_LAUNCHERS(SoftmaxCrossEntropy);
CONVOY_LAUNCHERS(AccumulateMetrics);

}  // namespace convoy
