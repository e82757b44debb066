// Max and average pooling over windows of x (N,D,H,W,C) -> y (N,O,P,Q,C).
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/shape.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

struct PoolShape {
  int n = 0;
  FeatureShape in;
  Axes kernel{1, 1, 1}, stride{1, 1, 1}, pad{0, 0, 0};

  FeatureShape out() const {
    return {window_output(in.d, kernel[0], stride[0], pad[0], 1),
            window_output(in.h, kernel[1], stride[1], pad[1], 1),
            window_output(in.w, kernel[2], stride[2], pad[2], 1), in.c};
  }
  int taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::int64_t flops() const { return n * out().count() * taps(); }
  std::string describe() const {
    return fmt::format("n={} {} -> {} kernel {}x{}x{}", n, to_string(in), to_string(out()), kernel[0],
                       kernel[1], kernel[2]);
  }
};

/// y = max over the window, padding excluded; argmax (shape of y) u8 is the first winning tap,
/// (kd * kernel_h + kh) * kernel_w + kw. A NaN wins. taps() <= 255. argmax is absent in evaluation.
struct MaxPoolForward {
  static constexpr const char* name = "maxpool.fprop";
  PoolShape shape;
  Tensor x, y, argmax;
  MaxPoolForward again() const { return {shape, x, y, {}}; }  // the first time's argmax is kept
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y), v.writes(call.argmax);
  }
};

/// dx = dy routed to the winning taps; windows may overlap.
struct MaxPoolBackward {
  static constexpr const char* name = "maxpool.dgrad";
  PoolShape shape;
  Tensor dy, argmax, dx;
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.dy), v.reads(call.argmax), v.writes(call.dx);
  }
};

/// y = sum over the window / taps(); padding counts as zeros (PyTorch's count_include_pad).
struct AvgPoolForward {
  static constexpr const char* name = "avgpool.fprop";
  PoolShape shape;
  Tensor x, y;
  AvgPoolForward again() const { return *this; }
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

struct AvgPoolBackward {
  static constexpr const char* name = "avgpool.dgrad";
  PoolShape shape;
  Tensor dy, dx;
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.dy), v.writes(call.dx);
  }
};

CONVOY_LAUNCHERS(MaxPoolForward);
CONVOY_LAUNCHERS(MaxPoolBackward);
CONVOY_LAUNCHERS(AvgPoolForward);
CONVOY_LAUNCHERS(AvgPoolBackward);

}  // namespace convoy
