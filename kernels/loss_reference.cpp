// Softmax cross-entropy, row by row.
#include <cmath>

#include "kernels/loss.h"
#include "kernels/loss_scale.h"
#include "kernels/reference.h"

namespace convoy {
namespace {

/// The first largest of `values`; -1 when there is a NaN.
template <class T>
int first_largest(const T* values, int count) {
  int best = 0;
  for (int i = 0; i < count; ++i) {
    if (std::isnan(values[i])) return -1;
    if (values[i] > values[best]) best = i;
  }
  return best;
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const SoftmaxCrossEntropy& call) {
  const int classes = call.classes;
  const T smoothing = static_cast<T>(call.smoothing);
  const T* logits = context.template data<T>(call.logits);                          // (N,C)
  const auto* labels = context.template data<std::int32_t>(call.labels);            // (N)
  T* loss = context.template data<T>(call.loss);                                    // (N)
  auto* hits = context.template data<std::int32_t>(call.hits);                      // (N)
  T* dlogits = context.template data<T>(call.dlogits);                              // (N,C) or null
  const T* scale = context.template data<T>(call.loss_scale);                       // or null
  const auto* partners = context.template data<std::int32_t>(call.partner_labels);  // (N) or null
  const T share = partners != nullptr ? static_cast<T>(context.state.blend.share) : T(1);
  const T* weights = context.template data<T>(call.class_weights);  // (C) or null
  const T gamma = static_cast<T>(call.gamma);
  const T factor = (scale != nullptr ? scale[loss_scale::scale] : T(1)) / static_cast<T>(call.global_n);
  for (std::int64_t n = 0; n < call.n; ++n) {
    const T* z = logits + n * classes;
    const int best = first_largest(z, classes);
    const int partner = partners != nullptr ? partners[n] : labels[n];
    hits[n] = best == (share * 2 >= 1 ? labels[n] : partner) ? 1 : 0;
    const T largest = z[best < 0 ? 0 : best];  // subtracted so that no exponential overflows
    T sum = 0;
    for (int c = 0; c < classes; ++c) sum += std::exp(z[c] - largest);
    const T log_sum = std::log(sum);
    const auto log_softmax = [&](int c) { return z[c] - largest - log_sum; };
    const auto target = [&](int c) {
      const T hot = (c == labels[n] ? share : T(0)) + (c == partner ? 1 - share : T(0));
      return (1 - smoothing) * hot + smoothing / static_cast<T>(classes);
    };
    loss[n] = 0;
    if (!call.weighs()) {
      for (int c = 0; c < classes; ++c) {
        if (target(c) != 0) loss[n] -= target(c) * log_softmax(c);
        if (dlogits != nullptr) dlogits[n * classes + c] = (std::exp(log_softmax(c)) - target(c)) * factor;
      }
      continue;
    }
    // d loss / d logit_j = s_j - p_j sum_c s_c, where s_c is the derivative by log p_c
    T slopes = 0;
    const auto term = [&](int c) {
      const T weight = target(c) * (weights != nullptr ? weights[c] : T(1));
      const FocalTerm<T> one = weight != 0 ? focal_term(log_softmax(c), gamma) : FocalTerm<T>{0, 0};
      return FocalTerm<T>{weight * one.value, weight * one.slope};
    };
    for (int c = 0; c < classes; ++c) {
      loss[n] += term(c).value;
      slopes += term(c).slope;
    }
    if (best < 0) loss[n] = log_sum;  // NaN, even if all that counts weighs nothing
    for (int c = 0; c < classes && dlogits != nullptr; ++c)
      dlogits[n * classes + c] = (term(c).slope - std::exp(log_softmax(c)) * slopes) * factor;
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const AccumulateMetrics& call) {
  const T* loss = context.template data<T>(call.loss);                // (N)
  const auto* hits = context.template data<std::int32_t>(call.hits);  // (N)
  double losses = 0, correct = 0;
  for (int n = 0; n < call.n; ++n) {
    losses += rounded_loss(static_cast<double>(loss[n]));
    correct += hits[n];
  }
  add_to_metrics(call, losses, correct, context.state.stop,
                 context.template data<double>(call.metrics),  // (3)
                 context.template data<T>(call.votes));        // (2) or null
}

template <class T>
void launch(const ReferenceContext<T>& context, const ReportStep& call) {
  const std::int64_t step = context.state.step;
  double* report =
      fill_report(context.template data<double>(call.reports), step, context.template data<T>(call.votes));
  report[report_serial] = serial_of(step);
}

CONVOY_REFERENCE(SoftmaxCrossEntropy);
CONVOY_REFERENCE(AccumulateMetrics);
CONVOY_REFERENCE(ReportStep);

}  // namespace convoy
