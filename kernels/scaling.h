// Factors that the pixels of an image share: squeeze-and-excitation's gates, a learned factor per channel.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// x (images,pixels,c) and factors (images,c). Factors of every image alike are those of one image that has
/// all pixels; a factor per element is one of images of one pixel.
struct ScaleShape {
  std::int64_t images = 0, pixels = 1;
  int c = 1;
  std::int64_t count() const { return images * pixels * c; }
  std::string describe() const { return fmt::format("images={} pixels={} c={}", images, pixels, c); }
};

/// y(n,p,c) = x(n,p,c) factors(n,c), which have the type of x or the engine's real type. dx from dy is the
/// same call.
struct ScalePixels {
  static constexpr const char* name = "scale";
  ScaleShape shape;
  Tensor x, factors, y;
  ScalePixels again() const { return *this; }
  std::int64_t flops() const { return shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.reads(call.factors), v.writes(call.y);
  }
};

/// sums(n,c) = the sum over p of a(n,p,c) b(n,p,c): the factors' gradient, from x and dy. Zeros where there
/// are no pixels.
struct ScaleGradient {
  static constexpr const char* name = "scale.grad";
  ScaleShape shape;
  Tensor a, b, sums;
  std::int64_t flops() const { return 2 * shape.count(); }
  std::string describe() const { return shape.describe(); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.a), v.reads(call.b), v.writes(call.sums);
  }
};

template <>
std::int64_t workspace_bytes<CpuContext>(const ScaleGradient&);
CONVOY_LAUNCHERS(ScalePixels);
CONVOY_LAUNCHERS(ScaleGradient);
template <>
std::int64_t workspace_bytes<CudaContext>(const ScaleGradient&);

}  // namespace convoy
