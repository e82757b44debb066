// Fully connected layers and the bias gradient. x (N,C), w (K,C), bias (K), y (N,K).
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

struct LinearShape {
  int n = 0, c = 0, k = 0;
  std::int64_t flops() const { return std::int64_t{2} * n * c * k; }
  std::string describe() const { return fmt::format("n={} {} -> {}", n, c, k); }
};

/// y = x wᵀ (+ bias, when present).
struct LinearForward {
  static constexpr const char* name = "linear.fprop";
  LinearShape shape;
  Tensor x, w, bias, y;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.w), v.reads(call.bias), v.writes(call.y);
  }
};

/// dx = dy w.
struct LinearDgrad {
  static constexpr const char* name = "linear.dgrad";
  LinearShape shape;
  Tensor dy, w, dx;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.dy), v.reads(call.w), v.writes(call.dx);
  }
};

/// dw = dyᵀ x; zeros when n = 0.
struct LinearWgrad {
  static constexpr const char* name = "linear.wgrad";
  LinearShape shape;
  Tensor x, dy, dw;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.writes(call.dw);
  }
};

/// db (C) = sum over the rows of dy (rows,C), for convolutions and linear layers; zeros when rows = 0.
struct BiasGrad {
  static constexpr const char* name = "bias.grad";
  std::int64_t rows = 0;
  int c = 0;
  Tensor dy, db;
  std::int64_t flops() const { return rows * c; }
  std::string describe() const { return fmt::format("rows={} c={}", rows, c); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.dy), v.writes(call.db);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const LinearForward&);
template <>
std::int64_t workspace_bytes<CpuContext>(const LinearDgrad&);
template <>
std::int64_t workspace_bytes<CpuContext>(const LinearWgrad&);
template <>
std::int64_t workspace_bytes<CpuContext>(const BiasGrad&);

CONVOY_LAUNCHERS(LinearForward);
CONVOY_LAUNCHERS(LinearDgrad);
CONVOY_LAUNCHERS(LinearWgrad);
CONVOY_LAUNCHERS(BiasGrad);
template <>
std::int64_t workspace_bytes<CudaContext>(const BiasGrad&);  // defined where CUDA sources are compiled

}  // namespace convoy
