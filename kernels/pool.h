// Max and average pooling over windows of x (N,D,H,W,C) -> y (N,O,P,Q,C).
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/shape.h"
#include "core/tensor.h"
#include "kernels/contexts.h"
#include "kernels/pool_axis.h"

namespace convoy {

/// Windows that slide over the image, or, with `bins`, one for each part of it.
struct PoolShape {
  int n = 0;
  FeatureShape in;
  Axes kernel{1, 1, 1}, stride{1, 1, 1}, pad{0, 0, 0};
  bool ceil = false;  ///< a last window may reach beyond the padding (PyTorch's ceil_mode)
  bool count_padding =
      true;            ///< a mean divides by the window within image and padding, else within the image
  Axes bins{0, 0, 0};  ///< outputs along each axis, in place of the four above; 0: windows slide

  bool adaptive() const { return bins[0] > 0; }
  PoolAxis axis(std::size_t i) const {
    const int length[] = {in.d, in.h, in.w};
    if (adaptive()) return PoolAxis::parts(length[i], bins[i]);
    return PoolAxis::sliding(length[i], kernel[i], stride[i], pad[i], ceil);
  }
  FeatureShape out() const { return {axis(0).out, axis(1).out, axis(2).out, in.c}; }
  int taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// Whether every mean divides by taps().
  bool divides_by_taps() const {
    for (std::size_t i = 0; i < 3; ++i) {
      const PoolAxis a = axis(i);
      const bool whole = a.start(a.out - 1) + a.kernel <= a.in + a.pad;
      if (a.adaptive || !whole || (!count_padding && a.pad > 0)) return false;
    }
    return true;
  }
  std::int64_t flops() const {
    if (!adaptive()) return n * out().count() * taps();
    std::int64_t read = 1;
    for (std::size_t i = 0; i < 3; ++i) read *= axis(i).pixels_read();
    return n * in.c * read;
  }
  std::string describe() const {
    std::string text = fmt::format("n={} {} -> {}", n, to_string(in), to_string(out()));
    if (adaptive()) return text + " adaptive";
    return text + fmt::format(" kernel {}x{}x{}", kernel[0], kernel[1], kernel[2]);
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

/// y = mean of the window, whose padding counts as zeros where `count_padding` says so.
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
