// Batch normalisation over groups of images, as its definition says.
#include <algorithm>
#include <cmath>

#include "kernels/batchnorm.h"
#include "kernels/loss_scale.h"
#include "kernels/reference.h"

namespace convoy {
namespace {

/// Calls visit(i, g, c) for each element i of (N,D,H,W,C) with its group and channel.
template <class Visit>
void for_each_element(const BatchNormShape& s, Visit visit) {
  for (int n = 0; n < s.n; ++n) {
    const int g = s.group_of(n);
    for (std::int64_t pixel = 0; pixel < s.pixels; ++pixel) {
      for (int c = 0; c < s.c; ++c) visit((n * s.pixels + pixel) * s.c + c, g, c);
    }
  }
}

/// Values per channel in group g, over all ranks.
double values_in(const BatchNormShape& s, int g) {
  return static_cast<double>(s.images_in(g) * s.pixels);
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormStatistics& call) {
  const BatchNormShape& s = call.shape;
  const T* x = context.template data<T>(call.x);            // (N,D,H,W,C)
  double* sums = context.template data<double>(call.sums);  // (groups,2,C)
  std::fill_n(sums, std::int64_t{2} * s.groups() * s.c, 0.0);
  for_each_element(s, [&](std::int64_t i, int g, int c) {
    const double value = x[i];
    sums[(2 * g) * s.c + c] += value;
    sums[(2 * g + 1) * s.c + c] += value * value;
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormMoments& call) {
  const BatchNormShape& s = call.shape;
  const double* sums = context.template data<double>(call.sums);  // (groups,2,C)
  T* mean = context.template data<T>(call.mean);                  // (groups,C)
  T* inv_std = context.template data<T>(call.inv_std);            // (groups,C)
  T* batch_mean = context.template data<T>(call.batch_mean);      // (C)
  T* batch_var = context.template data<T>(call.batch_var);        // (C)
  for (int c = 0; c < s.c; ++c) {
    double means = 0, variances = 0;
    for (int g = 0; g < s.groups(); ++g) {
      const double m = values_in(s, g);
      const double average = sums[(2 * g) * s.c + c] / m;
      const double variance = std::max(0.0, sums[(2 * g + 1) * s.c + c] / m - average * average);
      mean[g * s.c + c] = static_cast<T>(average);
      inv_std[g * s.c + c] = static_cast<T>(1 / std::sqrt(variance + static_cast<double>(s.epsilon)));
      means += average;
      // One value alone has no unbiased variance; it counts with its biased one, which is zero.
      variances += variance * (m / std::max(m - 1, 1.0));
    }
    batch_mean[c] = static_cast<T>(call.share * means);
    batch_var[c] = static_cast<T>(call.share * variances);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormRunning& call) {
  const T* scale = context.template data<T>(call.loss_scale);  // or null
  if (scale != nullptr && scale[loss_scale::skip] != 0) return;
  const T* batch = context.template data<T>(call.batch);
  const T* momentum = context.template data<T>(call.momentum);
  T* running = context.template data<T>(call.running);
  for (std::int64_t i = 0; i < call.running.count; ++i) {
    const T share = momentum[i / parameter_alignment];
    running[i] = (1 - share) * running[i] + share * batch[i];
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormForward& call) {
  const BatchNormShape& s = call.shape;
  const T* x = context.template data<T>(call.x);              // (N,D,H,W,C)
  const T* mean = context.template data<T>(call.mean);        // (groups,C)
  const T* inv_std = context.template data<T>(call.inv_std);  // (groups,C)
  const T* gamma = context.template data<T>(call.gamma);      // (C)
  const T* beta = context.template data<T>(call.beta);        // (C)
  T* y = context.template data<T>(call.y);                    // (N,D,H,W,C)
  for_each_element(s, [&](std::int64_t i, int g, int c) {
    y[i] = (x[i] - mean[g * s.c + c]) * inv_std[g * s.c + c] * gamma[c] + beta[c];
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormInference& call) {
  const BatchNormShape& s = call.shape;
  const T* x = context.template data<T>(call.x);                        // (N,D,H,W,C)
  const T* running_mean = context.template data<T>(call.running_mean);  // (C)
  const T* running_var = context.template data<T>(call.running_var);    // (C)
  const T* gamma = context.template data<T>(call.gamma);                // (C)
  const T* beta = context.template data<T>(call.beta);                  // (C)
  T* y = context.template data<T>(call.y);                              // (N,D,H,W,C)
  for_each_element(s, [&](std::int64_t i, int, int c) {
    y[i] =
        (x[i] - running_mean[c]) / std::sqrt(running_var[c] + static_cast<T>(s.epsilon)) * gamma[c] + beta[c];
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormReduce& call) {
  const BatchNormShape& s = call.shape;
  const T* x = context.template data<T>(call.x);              // (N,D,H,W,C)
  const T* dy = context.template data<T>(call.dy);            // (N,D,H,W,C)
  const T* mean = context.template data<T>(call.mean);        // (groups,C)
  const T* inv_std = context.template data<T>(call.inv_std);  // (groups,C)
  double* sums = context.template data<double>(call.sums);    // (groups,2,C)
  T* dgamma = context.template data<T>(call.dgamma);          // (C)
  T* dbeta = context.template data<T>(call.dbeta);            // (C)
  std::fill_n(sums, std::int64_t{2} * s.groups() * s.c, 0.0);
  for_each_element(s, [&](std::int64_t i, int g, int c) {
    const T x_hat = (x[i] - mean[g * s.c + c]) * inv_std[g * s.c + c];
    sums[(2 * g) * s.c + c] += static_cast<double>(dy[i]);
    sums[(2 * g + 1) * s.c + c] += static_cast<double>(dy[i]) * static_cast<double>(x_hat);
  });
  for (int c = 0; c < s.c; ++c) {
    double sum_dy = 0, sum_dy_x_hat = 0;
    for (int g = 0; g < s.groups(); ++g) {
      sum_dy += sums[(2 * g) * s.c + c];
      sum_dy_x_hat += sums[(2 * g + 1) * s.c + c];
    }
    dbeta[c] = static_cast<T>(sum_dy);
    dgamma[c] = static_cast<T>(sum_dy_x_hat);
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const BatchNormBackward& call) {
  const BatchNormShape& s = call.shape;
  const T* x = context.template data<T>(call.x);                  // (N,D,H,W,C)
  const T* dy = context.template data<T>(call.dy);                // (N,D,H,W,C)
  const T* mean = context.template data<T>(call.mean);            // (groups,C)
  const T* inv_std = context.template data<T>(call.inv_std);      // (groups,C)
  const T* gamma = context.template data<T>(call.gamma);          // (C)
  const double* sums = context.template data<double>(call.sums);  // (groups,2,C)
  T* dx = context.template data<T>(call.dx);                      // (N,D,H,W,C)
  for_each_element(s, [&](std::int64_t i, int g, int c) {
    const double m = values_in(s, g);
    const T mean_dy = static_cast<T>(sums[(2 * g) * s.c + c] / m);
    const T mean_dy_x_hat = static_cast<T>(sums[(2 * g + 1) * s.c + c] / m);
    const T x_hat = (x[i] - mean[g * s.c + c]) * inv_std[g * s.c + c];
    dx[i] = gamma[c] * inv_std[g * s.c + c] * (dy[i] - mean_dy - x_hat * mean_dy_x_hat);
  });
}

CONVOY_REFERENCE(BatchNormStatistics);
CONVOY_REFERENCE(BatchNormMoments);
CONVOY_REFERENCE(BatchNormRunning);
CONVOY_REFERENCE(BatchNormForward);
CONVOY_REFERENCE(BatchNormInference);
CONVOY_REFERENCE(BatchNormReduce);
CONVOY_REFERENCE(BatchNormBackward);

}  // namespace convoy
