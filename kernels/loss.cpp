// Softmax cross-entropy on the CPU: rows shared out, each row one thread's. logits (N,C).
#include "kernels/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/loss_scale.h"

namespace convoy {
namespace {

/// The loss of one row of `classes` and its gradient times `scale`, unless that is null. target(c) is a
/// class's share of the target times its weight, log_p(c) the log of its probability.
template <class Target, class LogP>
float weighted_row(float gamma, int classes, const Target& target, const LogP& log_p, float* gradient,
                   float scale) {
  float loss = 0.0f, slopes = 0.0f;
  for (int c = 0; c < classes; ++c) {
    const float weight = target(c);
    if (gradient != nullptr) gradient[c] = 0.0f;
    if (weight == 0.0f) continue;
    const FocalTerm<float> term = focal_term(log_p(c), gamma);
    loss += weight * term.value;
    slopes += weight * term.slope;
    if (gradient != nullptr) gradient[c] = weight * term.slope;
  }
  for (int c = 0; c < classes && gradient != nullptr; ++c)
    gradient[c] = (gradient[c] - std::exp(log_p(c)) * slopes) * scale;
  return loss;
}

}  // namespace

void launch(const CpuContext& context, const SoftmaxCrossEntropy& call) {
  const float* logits = context.data<float>(call.logits);
  const std::int32_t* labels = context.data<std::int32_t>(call.labels);
  float* loss = context.data<float>(call.loss);
  std::int32_t* hits = context.data<std::int32_t>(call.hits);
  float* dlogits = context.data<float>(call.dlogits);
  const int classes = call.classes;
  const float on = 1.0f - call.smoothing, off = call.smoothing / static_cast<float>(classes);
  const float* factor = context.data<float>(call.loss_scale);  // or null
  const float scale =
      (factor != nullptr ? factor[loss_scale::scale] : 1.0f) * (1.0f / static_cast<float>(call.global_n));
  const std::int32_t* partners = context.data<std::int32_t>(call.partner_labels);  // or null
  const float share = partners ? context.state.blend.share : 1.0f;
  const float* weights = context.data<float>(call.class_weights);  // or null
  context.threads().for_each(call.n, [&](std::int64_t i) {
    const float* row = logits + i * classes;
    const std::int32_t label = labels[i], partner = partners ? partners[i] : label;
    int best = 0;
    bool nan = false;
    for (int c = 0; c < classes; ++c) {
      nan |= std::isnan(row[c]);
      if (row[c] > row[best]) best = c;
    }
    const float largest = row[best];
    float sum = 0.0f, total = 0.0f;
    for (int c = 0; c < classes; ++c) {
      sum += std::exp(row[c] - largest);
      total += row[c] - largest;
    }
    const float log_sum = std::log(sum);
    hits[i] = !nan && best == (share >= 0.5f ? label : partner);
    float* gradient = dlogits != nullptr ? dlogits + i * classes : nullptr;
    if (call.weighs()) {
      const auto target = [&](int c) {
        const float hot = (c == label ? share : 0.0f) + (c == partner ? 1.0f - share : 0.0f);
        return (weights != nullptr ? weights[c] : 1.0f) * (on * hot + off);
      };
      const auto log_p = [&](int c) { return row[c] - largest - log_sum; };
      loss[i] = weighted_row(call.gamma, classes, target, log_p, gradient, scale);
      if (nan) loss[i] = std::numeric_limits<float>::quiet_NaN();  // even if all that counts weighs nothing
      return;
    }
    // sum t (log_sum - (x - max)) = log_sum - on (x_label - max) - off sum (x - max), as the targets add up
    // to one
    const float smoothed = call.smoothing > 0.0f ? off * total : 0.0f;  // 0 · -inf would be NaN
    float labelled = share > 0.0f ? share * (row[label] - largest) : 0.0f;
    if (share < 1.0f) labelled += (1.0f - share) * (row[partner] - largest);
    loss[i] = log_sum - on * labelled - smoothed;
    if (gradient != nullptr) {
      for (int c = 0; c < classes; ++c) gradient[c] = (std::exp(row[c] - largest) / sum - off) * scale;
      gradient[label] -= on * share * scale;
      gradient[partner] -= on * (1.0f - share) * scale;
    }
  });
}

void launch(const CpuContext& context, const AccumulateMetrics& call) {
  const float* loss = context.data<float>(call.loss);
  const std::int32_t* hits = context.data<std::int32_t>(call.hits);
  double losses = 0.0, correct = 0.0;
  for (int i = 0; i < call.n; ++i) {
    losses += rounded_loss(static_cast<double>(loss[i]));
    correct += hits[i];
  }
  add_to_metrics(call, losses, correct, context.state.stop, context.data<double>(call.metrics),
                 context.data<float>(call.votes));
}

void launch(const CpuContext& context, const ReportStep& call) {
  const std::int64_t step = context.state.step;
  double* report = fill_report(context.data<double>(call.reports), step, context.data<float>(call.votes));
  report[report_serial] = serial_of(step);
}

}  // namespace convoy
