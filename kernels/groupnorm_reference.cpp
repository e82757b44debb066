// Group normalisation, as its definition says.
#include <cmath>
#include <vector>

#include "kernels/groupnorm.h"
#include "kernels/reference.h"

namespace convoy {
namespace {

/// Calls visit(i, group, channel) for each element i, groups counted over all images.
template <class Visit>
void for_each_value(const GroupNormShape& s, Visit visit) {
  for (std::int64_t i = 0; i < s.count(); ++i) {
    const auto channel = static_cast<int>(i % s.c);
    visit(i, i / (s.pixels * s.c) * s.groups + channel / s.members(), channel);
  }
}

}  // namespace

template <class T>
void launch(const ReferenceContext<T>& context, const GroupNormStatistics& call) {
  const T* x = context.template data<T>(call.x);
  T* mean = context.template data<T>(call.mean);
  T* inv_std = context.template data<T>(call.inv_std);
  const GroupNormShape& s = call.shape;
  const auto m = static_cast<double>(s.pixels * s.members());
  const std::int64_t groups = s.images * s.groups;
  std::vector<double> sums(static_cast<std::size_t>(groups)), squares(sums);
  const auto at = [](std::int64_t g) { return static_cast<std::size_t>(g); };
  for_each_value(s, [&](std::int64_t i, std::int64_t g, int) { sums[at(g)] += static_cast<double>(x[i]); });
  for_each_value(s, [&](std::int64_t i, std::int64_t g, int) {
    const double centred = static_cast<double>(x[i]) - sums[at(g)] / m;
    squares[at(g)] += centred * centred;
  });
  for (std::int64_t g = 0; g < groups; ++g) {
    mean[g] = static_cast<T>(sums[at(g)] / m);
    inv_std[g] = static_cast<T>(1 / std::sqrt(squares[at(g)] / m + static_cast<double>(s.epsilon)));
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const GroupNormForward& call) {
  const T* x = context.template data<T>(call.x);
  const T* mean = context.template data<T>(call.mean);
  const T* inv_std = context.template data<T>(call.inv_std);
  const T* gamma = context.template data<T>(call.gamma);
  const T* beta = context.template data<T>(call.beta);
  T* y = context.template data<T>(call.y);
  for_each_value(call.shape, [&](std::int64_t i, std::int64_t g, int c) {
    y[i] = (x[i] - mean[g]) * inv_std[g] * gamma[c] + beta[c];
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const GroupNormReduce& call) {
  const T* x = context.template data<T>(call.x);
  const T* dy = context.template data<T>(call.dy);
  const T* mean = context.template data<T>(call.mean);
  const T* inv_std = context.template data<T>(call.inv_std);
  const T* gamma = context.template data<T>(call.gamma);
  T* sums = context.template data<T>(call.sums);
  T* dgamma = context.template data<T>(call.dgamma);
  T* dbeta = context.template data<T>(call.dbeta);
  const GroupNormShape& s = call.shape;
  for (std::int64_t i = 0; i < 2 * s.images * s.groups; ++i) sums[i] = T(0);
  for (int c = 0; c < s.c; ++c) dgamma[c] = dbeta[c] = T(0);
  for_each_value(s, [&](std::int64_t i, std::int64_t g, int c) {
    const T normalized = (x[i] - mean[g]) * inv_std[g];
    dgamma[c] += dy[i] * normalized;
    dbeta[c] += dy[i];
    sums[2 * g] += gamma[c] * dy[i];
    sums[2 * g + 1] += gamma[c] * dy[i] * normalized;
  });
}

template <class T>
void launch(const ReferenceContext<T>& context, const GroupNormBackward& call) {
  const T* x = context.template data<T>(call.x);
  const T* dy = context.template data<T>(call.dy);
  const T* mean = context.template data<T>(call.mean);
  const T* inv_std = context.template data<T>(call.inv_std);
  const T* gamma = context.template data<T>(call.gamma);
  const T* sums = context.template data<T>(call.sums);
  T* dx = context.template data<T>(call.dx);
  const auto m = static_cast<T>(call.shape.pixels * call.shape.members());
  for_each_value(call.shape, [&](std::int64_t i, std::int64_t g, int c) {
    const T normalized = (x[i] - mean[g]) * inv_std[g];
    dx[i] = inv_std[g] * (gamma[c] * dy[i] - sums[2 * g] / m - normalized * sums[2 * g + 1] / m);
  });
}

CONVOY_REFERENCE(GroupNormStatistics);
CONVOY_REFERENCE(GroupNormForward);
CONVOY_REFERENCE(GroupNormReduce);
CONVOY_REFERENCE(GroupNormBackward);

}  // namespace convoy
