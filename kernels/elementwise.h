// Calls that treat tensors as flat arrays: activations, dropout, sums.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/activations.h"
#include "kernels/contexts.h"

namespace convoy {

/// y = f(x), elementwise; y may be x.
struct ActivationForward {
  static constexpr const char* name = "activation.fprop";
  Activation kind = Activation::relu;
  float parameter = 0.0f;  ///< of the activation, where it has one
  Tensor x, y;
  ActivationForward again() const { return *this; }
  std::int64_t flops() const { return x.count; }
  std::string describe() const { return fmt::format("{} count={}", name_of(kind), x.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

/// dx = dy f'(x), from `saved` = x or y as backward_needs_input says; dx may be dy.
struct ActivationBackward {
  static constexpr const char* name = "activation.dgrad";
  Activation kind = Activation::relu;
  float parameter = 0.0f;
  Tensor saved, dy, dx;
  std::int64_t flops() const { return dx.count; }
  std::string describe() const { return fmt::format("{} count={}", name_of(kind), dx.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.saved), v.reads(call.dy), v.writes(call.dx);
  }
};

/// y = keep(i) ? x / (1 - rate) : 0; forward and backward alike. With q = i / 4 and lane = i % 4, i counted
/// over the global batch (`first` is this rank's first element), element i is kept when
/// uniform01(random4(seed, Purpose::dropout, layer, step * 2^40 + q).v[lane]) >= rate. y may be x.
struct Dropout {
  static constexpr const char* name = "dropout";
  float rate = 0.5f;
  std::uint32_t layer = 0;  ///< the stream: which dropout layer of the network
  std::int64_t first = 0;
  Tensor x, y;
  Dropout again() const { return *this; }  // a function of the step's state: it comes out the same
  std::int64_t flops() const { return x.count; }
  std::string describe() const { return fmt::format("rate={} count={}", rate, x.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

/// y = keep(n) ? x / (1 - rate) : 0, all features of image n alike; forward and backward alike. n counts over
/// the global batch (`first` is this rank's first image) and takes the place that an element has in Dropout.
/// Stochastic depth: Huang et al., 2016. y may be x.
struct DropPath {
  static constexpr const char* name = "drop_path";
  float rate = 0.5f;
  std::uint32_t layer = 0;  ///< the stream, as Dropout's
  std::int64_t first = 0;
  std::int64_t features = 1;  ///< of an image
  Tensor x, y;
  DropPath again() const { return *this; }
  std::int64_t flops() const { return x.count; }
  std::string describe() const { return fmt::format("rate={} count={}", rate, x.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.x), v.writes(call.y);
  }
};

/// y = a + b; y may be a or b.
struct Add {
  static constexpr const char* name = "add";
  Tensor a, b, y;
  Add again() const { return *this; }
  std::int64_t flops() const { return y.count; }
  std::string describe() const { return fmt::format("count={}", y.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.a), v.reads(call.b), v.writes(call.y);
  }
};

CONVOY_LAUNCHERS(ActivationForward);
CONVOY_LAUNCHERS(ActivationBackward);
CONVOY_LAUNCHERS(Dropout);
CONVOY_LAUNCHERS(DropPath);
CONVOY_LAUNCHERS(Add);

}  // namespace convoy
