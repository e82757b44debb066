// Cases of convolutions, with groups and without.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/linear.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {

/// Forward, both gradients and, with a bias, its gradient.
inline OpCase conv_case(const std::string& name, const ConvShape& s, bool bias, bool check_gradients,
                        Math math = Math::fp32) {
  OpCase op;
  op.name = name;
  const std::int64_t x_count = s.n * s.in.count(), y_count = s.n * s.out().count();
  const Tensor x = op.input("x", uniform(x_count, -1, 1, 1));
  const Tensor w = op.input("w", uniform(s.weights(), -1, 1, 2));
  const Tensor b = bias ? op.input("bias", uniform(s.k, -1, 1, 3)) : Tensor{};
  const Tensor y = op.result("y", y_count);
  const Tensor dy = op.project(y, "dy");
  const Tensor dx = op.result("dx", x_count);
  const Tensor dw = op.result("dw", s.weights());
  op.calls = {ConvForward{s, x, w, b, y, math}, ConvDgrad{s, dy, w, dx, math}, ConvWgrad{s, x, dy, dw, math}};
  if (check_gradients) op.gradients = {{x, dx}, {w, dw}};
  if (bias) {
    const Tensor db = op.result("db", s.k);
    op.calls.emplace_back(BiasGrad{s.n * s.out().pixels(), s.k, dy, db});
    if (check_gradients) op.gradients.emplace_back(b, db);
  }
  return op;
}

/// An image convolution with a square kernel, the same stride, pad and dilation along both axes.
inline ConvShape square(int n, int size, int c, int k, int kernel, int stride, int pad, int dilation = 1) {
  ConvShape s;
  s.n = n, s.in = {1, size, size, c}, s.k = k, s.r = s.s = kernel;
  s.stride = {1, stride, stride}, s.pad = {0, pad, pad}, s.dilation = {1, dilation, dilation};
  return s;
}

/// Products of 16-bit values are exact in f32 and sums are f32 (tensor cores cut where FFMA rounds, hence
/// 5e-5); y and dx are then rounded once.
inline std::vector<OpCase> products_in_16_bits(const std::vector<OpCase>& cases) {
  std::vector<OpCase> stored = in_16_bits(cases, {"x", "w", "y", "dy", "dx"}, 1.1);
  for (OpCase& op : stored) op.storage_tolerance = std::exchange(op.tolerance, 5e-5);
  return stored;
}
/// Rounding to TF32 moves an operand by a uniform error of at most 2^-11 of itself (2^-11 / sqrt 3 on
/// average), so a sum of many products by about 2^-11 sqrt(2 / 3) = 4e-4 of its root mean square. Six times
/// that is exceeded by one of 10^9 elements; the cases have up to 10^5. That operands are rounded right is
/// what ConvTf32Rounding checks, to 3e-5.
constexpr double tf32_tolerance = 2.4e-3;

}  // namespace convoy::testing
