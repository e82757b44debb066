// Convolution calls. x (N,D,H,W,C) * w (K,T,R,S,C/G) + bias (K) -> y (N,O,P,Q,K); for images D = T = O = 1.
// With G groups, filters [g K/G, (g+1) K/G) read channels [g C/G, (g+1) C/G); G is 1 where a comment names
// none.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/shape.h"
#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

struct ConvShape {
  int n = 0;
  FeatureShape in;                 ///< D, H, W, C
  int k = 0, t = 1, r = 1, s = 1;  ///< filters and their depth, height, width
  Axes stride{1, 1, 1}, pad{0, 0, 0}, dilation{1, 1, 1};
  int groups = 1;  ///< divides C and K

  FeatureShape out() const {  ///< O, P, Q, K
    return {window_output(in.d, t, stride[0], pad[0], dilation[0]),
            window_output(in.h, r, stride[1], pad[1], dilation[1]),
            window_output(in.w, s, stride[2], pad[2], dilation[2]), k};
  }
  std::int64_t taps() const { return std::int64_t{t} * r * s; }
  int group_channels() const { return in.c / groups; }
  int group_filters() const { return k / groups; }
  /// A filter for each channel, which reads that channel alone.
  bool is_depthwise() const { return groups > 1 && groups == in.c && groups == k; }
  std::int64_t weights() const { return k * taps() * group_channels(); }
  std::int64_t flops() const { return 2 * n * out().pixels() * weights(); }
  std::string describe() const {
    std::string text = fmt::format("n={} {} -> {} kernel {}x{}x{} stride {} pad {}", n, to_string(in),
                                   to_string(out()), t, r, s, describe_axes(stride), describe_axes(pad));
    if (dilation != Axes{1, 1, 1}) text += " dilation " + describe_axes(dilation);
    if (groups != 1) text += fmt::format(" groups {}", groups);
    return text;
  }

 private:
  /// "2"; "1x2x3" where axes differ, of which an image's depth is none.
  std::string describe_axes(const Axes& axes) const {
    const bool image = in.d == 1 && t == 1;
    if (axes[1] == axes[2] && (image || axes[0] == axes[1])) return fmt::format("{}", axes[2]);
    return fmt::format("{}x{}x{}", axes[0], axes[1], axes[2]);
  }
};

/// y = x * w (+ bias, when present).
struct ConvForward {
  static constexpr const char* name = "conv.fprop";
  ConvShape shape;
  Tensor x, w, bias, y;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.w), v.reads(call.bias), v.writes(call.y);
  }
};

/// dx (N,D,H,W,C) = the transpose of the forward map applied to dy (N,O,P,Q,K).
struct ConvDgrad {
  static constexpr const char* name = "conv.dgrad";
  ConvShape shape;
  Tensor dy, w, dx;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.dy), v.reads(call.w), v.writes(call.dx);
  }
};

/// dw (K,T,R,S,C/G) = sum over images and output pixels; zeros when n = 0.
struct ConvWgrad {
  static constexpr const char* name = "conv.wgrad";
  ConvShape shape;
  Tensor x, dy, dw;
  Math math = Math::fp32;  ///< host engines compute in full whatever this says
  std::int64_t flops() const { return shape.flops(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.dy), v.writes(call.dw);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const ConvForward&);
template <>
std::int64_t workspace_bytes<CpuContext>(const ConvDgrad&);
template <>
std::int64_t workspace_bytes<CpuContext>(const ConvWgrad&);

CONVOY_LAUNCHERS(ConvForward);
CONVOY_LAUNCHERS(ConvDgrad);
CONVOY_LAUNCHERS(ConvWgrad);
// Defined where CUDA sources are compiled.
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvForward&);
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvDgrad&);
template <>
std::int64_t workspace_bytes<CudaContext>(const ConvWgrad&);

}  // namespace convoy
