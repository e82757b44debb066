// Batch normalisation (Ioffe & Szegedy, 2015) whose statistics cover groups of consecutive images of the
// global batch.
//
// A rank holds images [first, first + n) of the global batch. Group g covers images [g * group, (g + 1) *
// group), the last may be shorter. Sums are kept for every group of the global batch; a rank fills in what
// its images contribute (zero elsewhere) and an all-reduce completes them, so the rank count never changes
// the mathematics.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/ceil_div.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

struct BatchNormShape {
  int n = 0;                ///< images on this rank
  int first = 0;            ///< index of the first of them in the global batch
  int global_n = 0;         ///< images in the global batch
  int group = 1;            ///< images per group
  std::int64_t pixels = 1;  ///< D·H·W
  int c = 1;
  float epsilon = 1e-5f;

  constexpr int groups() const { return ceil_div(global_n, group); }
  int group_of(int local_image) const { return (first + local_image) / group; }
  int images_in(int g) const { return std::min(group, global_n - g * group); }
  std::int64_t count() const { return n * pixels * c; }
  std::string describe() const {
    return fmt::format("n={} pixels={} c={} groups={}", n, pixels, c, groups());
  }
};

/// sums (groups,2,C) f64: sum of x and of x² over this rank's images of each group.
struct BatchNormStatistics {
  static constexpr const char* name = "batchnorm.statistics";
  BatchNormShape shape;
  Tensor x, sums;
  std::int64_t flops() const { return 3 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.sums);
  }
};

/// mean, inv_std (groups,C) from the completed sums; batch_mean, batch_var (C) = `share` times the sums over
/// the groups of the mean and of the unbiased variance (of one value alone: zero). With 1 / all groups of the
/// global batch as the share, the sums of these over passes and ranks are what running averages move towards.
struct BatchNormMoments {
  static constexpr const char* name = "batchnorm.moments";
  BatchNormShape shape;
  double share = 1.0;
  Tensor sums, mean, inv_std, batch_mean, batch_var;
  std::int64_t flops() const { return std::int64_t{8} * shape.groups() * shape.c; }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.sums), v.writes(call.mean), v.writes(call.inv_std);
    v.writes(call.batch_mean), v.writes(call.batch_var);
  }
};

/// running = (1 - momentum) running + momentum batch, for the running averages of all layers at once (count);
/// `momentum` holds one factor per parameter_alignment elements. Nothing changes when the loss scale says to
/// skip the step.
struct BatchNormRunning {
  static constexpr const char* name = "batchnorm.running";
  Tensor batch, running, momentum;
  Tensor loss_scale = {};  ///< optional (kernels/loss_scale.h)
  std::int64_t flops() const { return 3 * running.count; }
  std::string describe() const { return fmt::format("count={}", running.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.batch), v.updates(call.running), v.reads(call.momentum), v.reads(call.loss_scale);
  }
};

/// y = (x - mean) * inv_std * gamma + beta, with the moments of each image's group.
struct BatchNormForward {
  static constexpr const char* name = "batchnorm.fprop";
  BatchNormShape shape;
  Tensor x, mean, inv_std, gamma, beta, y;
  BatchNormForward again() const { return *this; }
  std::int64_t flops() const { return 2 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.mean), v.reads(call.inv_std), v.reads(call.gamma), v.reads(call.beta);
    v.writes(call.y);
  }
};

/// y = (x - running_mean) / sqrt(running_var + epsilon) * gamma + beta.
struct BatchNormInference {
  static constexpr const char* name = "batchnorm.inference";
  BatchNormShape shape;
  Tensor x, running_mean, running_var, gamma, beta, y;
  std::int64_t flops() const { return 2 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.running_mean), v.reads(call.running_var), v.reads(call.gamma),
        v.reads(call.beta);
    v.writes(call.y);
  }
};

/// sums (groups,2,C) f64: sum of dy and of dy·x̂ over this rank's images of each group, x̂ = (x - mean)
/// inv_std; dbeta and dgamma (C) are their sums over the groups, this rank's share of the gradient.
struct BatchNormReduce {
  static constexpr const char* name = "batchnorm.reduce";
  BatchNormShape shape;
  Tensor x, dy, mean, inv_std, sums, dgamma, dbeta;
  std::int64_t flops() const { return 5 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.mean), v.reads(call.inv_std);
    v.writes(call.sums), v.writes(call.dgamma), v.writes(call.dbeta);
  }
};

/// dx = gamma inv_std (dy - sum(dy)/M - x̂ sum(dy x̂)/M), M = values per channel in the image's group.
struct BatchNormBackward {
  static constexpr const char* name = "batchnorm.dgrad";
  BatchNormShape shape;
  Tensor x, dy, mean, inv_std, gamma, sums, dx;
  std::int64_t flops() const { return 7 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.mean), v.reads(call.inv_std), v.reads(call.gamma);
    v.reads(call.sums), v.writes(call.dx);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormStatistics&);
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormInference&);
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormReduce&);
template <>
std::int64_t workspace_bytes<CpuContext>(const BatchNormBackward&);

CONVOY_LAUNCHERS(BatchNormStatistics);
CONVOY_LAUNCHERS(BatchNormMoments);
CONVOY_LAUNCHERS(BatchNormRunning);
CONVOY_LAUNCHERS(BatchNormForward);
CONVOY_LAUNCHERS(BatchNormInference);
CONVOY_LAUNCHERS(BatchNormReduce);
CONVOY_LAUNCHERS(BatchNormBackward);

// Partial sums per block; in batchnorm.cu.
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormStatistics& call);
template <>
std::int64_t workspace_bytes<CudaContext>(const BatchNormReduce& call);

}  // namespace convoy
