// Layer normalisation (Ba, Kiros & Hinton, 2016) over the channels of each pixel.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// x (rows,c): a row is a pixel, or an image of flat features.
struct LayerNormShape {
  std::int64_t rows = 0;
  int c = 1;
  float epsilon = 1e-5f;
  std::int64_t count() const { return rows * c; }
  std::string describe() const { return fmt::format("rows={} c={}", rows, c); }
};

/// y = x̂ gamma + beta, x̂ = (x - mean) inv_std, with mean and inv_std = 1 / sqrt(variance + epsilon) of each
/// row, its biased variance. Both (rows) are kept for backward, where they are not absent.
struct LayerNormForward {
  static constexpr const char* name = "layernorm.fprop";
  LayerNormShape shape;
  Tensor x, gamma, beta, y, mean, inv_std;
  LayerNormForward again() const { return {shape, x, gamma, beta, y, {}, {}}; }  // the first moments are kept
  std::int64_t flops() const { return 8 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.gamma), v.reads(call.beta);
    v.writes(call.y), v.writes(call.mean), v.writes(call.inv_std);
  }
};

/// dx = inv_std (g - mean of g - x̂ mean of g x̂), g = gamma dy, means over the row.
struct LayerNormBackward {
  static constexpr const char* name = "layernorm.dgrad";
  LayerNormShape shape;
  Tensor x, dy, gamma, mean, inv_std, dx;
  std::int64_t flops() const { return 11 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.gamma), v.reads(call.mean), v.reads(call.inv_std);
    v.writes(call.dx);
  }
};

/// dgamma (c) = the sum over the rows of dy x̂, dbeta (c) that of dy; zeros where there are no rows.
struct LayerNormWgrad {
  static constexpr const char* name = "layernorm.wgrad";
  LayerNormShape shape;
  Tensor x, dy, mean, inv_std, dgamma, dbeta;
  std::int64_t flops() const { return 5 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.reads(call.mean), v.reads(call.inv_std);
    v.writes(call.dgamma), v.writes(call.dbeta);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const LayerNormWgrad&);
CONVOY_LAUNCHERS(LayerNormForward);
CONVOY_LAUNCHERS(LayerNormBackward);
CONVOY_LAUNCHERS(LayerNormWgrad);
template <>
std::int64_t workspace_bytes<CudaContext>(const LayerNormWgrad&);

}  // namespace convoy
