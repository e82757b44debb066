// Group normalisation (Wu & He, 2018) over the pixels of an image and the channels of a group.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// x (images,pixels,c); a group is c / groups consecutive channels of one image.
struct GroupNormShape {
  std::int64_t images = 0, pixels = 1;
  int c = 1, groups = 1;  ///< groups divides c
  float epsilon = 1e-5f;
  constexpr int members() const { return c / groups; }  ///< channels of a group
  std::int64_t count() const { return images * pixels * c; }
  std::string describe() const {
    return fmt::format("images={} pixels={} c={} groups={}", images, pixels, c, groups);
  }
};

/// mean and inv_std = 1 / sqrt(variance + epsilon) (images,groups), of the biased variance.
struct GroupNormStatistics {
  static constexpr const char* name = "groupnorm.statistics";
  GroupNormShape shape;
  Tensor x, mean, inv_std;
  std::int64_t flops() const { return 3 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.mean), v.writes(call.inv_std);
  }
};

/// y = x̂ gamma + beta, x̂ = (x - mean) inv_std.
struct GroupNormForward {
  static constexpr const char* name = "groupnorm.fprop";
  GroupNormShape shape;
  Tensor x, mean, inv_std, gamma, beta, y;
  GroupNormForward again() const { return *this; }
  std::int64_t flops() const { return 4 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.mean), v.reads(call.inv_std), v.reads(call.gamma), v.reads(call.beta);
    v.writes(call.y);
  }
};

/// dgamma (c) = the sum of dy x̂ over images and pixels, dbeta (c) that of dy; sums (images,groups,2) = those
/// of gamma dy and of gamma dy x̂ over each group. Zeros where there are no images.
struct GroupNormReduce {
  static constexpr const char* name = "groupnorm.reduce";
  GroupNormShape shape;
  Tensor x, dy, mean, inv_std, gamma, sums, dgamma, dbeta;
  std::int64_t flops() const { return 5 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.mean), v.reads(call.inv_std), v.reads(call.gamma);
    v.writes(call.sums), v.writes(call.dgamma), v.writes(call.dbeta);
  }
};

/// dx = inv_std (gamma dy - sum of gamma dy / M - x̂ sum of gamma dy x̂ / M), M = values of a group.
struct GroupNormBackward {
  static constexpr const char* name = "groupnorm.dgrad";
  GroupNormShape shape;
  Tensor x, dy, mean, inv_std, gamma, sums, dx;
  std::int64_t flops() const { return 8 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.mean), v.reads(call.inv_std), v.reads(call.gamma);
    v.reads(call.sums), v.writes(call.dx);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const GroupNormStatistics&);
template <>
std::int64_t workspace_bytes<CpuContext>(const GroupNormReduce&);
CONVOY_LAUNCHERS(GroupNormStatistics);
CONVOY_LAUNCHERS(GroupNormForward);
CONVOY_LAUNCHERS(GroupNormReduce);
CONVOY_LAUNCHERS(GroupNormBackward);
template <>
std::int64_t workspace_bytes<CudaContext>(const GroupNormStatistics&);
template <>
std::int64_t workspace_bytes<CudaContext>(const GroupNormReduce&);

}  // namespace convoy
