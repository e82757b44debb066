// Optimizer steps over the flat parameter block. `decay` holds one weight-decay factor per
// parameter_alignment parameters.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/tensor.h"
#include "kernels/contexts.h"

namespace convoy {

/// g' = g + decay w;  m = momentum m + g';  w -= lr (nesterov ? g' + momentum m : m)  (Sutskever et al.,
/// 2013, in PyTorch's form). lr is StepState's. `velocity` is absent when momentum = 0. With a loss scale, g
/// is multiplied by its inverse, and nothing changes when it says to skip. `compute_weights` gets w in its
/// own type.
struct SgdStep {
  static constexpr const char* name = "sgd";
  float momentum = 0.0f;
  bool nesterov = false;
  Tensor parameters, gradients, velocity, decay;
  Tensor compute_weights = {}, loss_scale = {};  ///< both optional
  std::int64_t flops() const { return 6 * parameters.count; }
  std::string describe() const { return fmt::format("count={}", parameters.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.updates(call.parameters), v.reads(call.gradients), v.updates(call.velocity), v.reads(call.decay);
    v.updates(call.compute_weights), v.reads(call.loss_scale);
  }
};

/// Adam (Kingma & Ba, 2015) with bias correction at t = the steps done, this one included and skipped ones
/// not; decoupled decay is AdamW (Loshchilov & Hutter, 2019): w -= lr decay w first, else g += decay w.
/// Epsilon is added after the root of the corrected variance. Working copy and loss scale as for SgdStep.
struct AdamStep {
  static constexpr const char* name = "adam";
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  bool decoupled = false;
  Tensor parameters, gradients, mean, variance, decay;
  Tensor compute_weights = {}, loss_scale = {};  ///< both optional
  std::int64_t flops() const { return 14 * parameters.count; }
  std::string describe() const { return fmt::format("count={}", parameters.count); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.updates(call.parameters), v.reads(call.gradients), v.updates(call.mean), v.updates(call.variance);
    v.reads(call.decay), v.updates(call.compute_weights), v.reads(call.loss_scale);
  }
};

/// average = decay average + (1 - decay) w, the exponential moving average of the weights (Polyak & Juditsky,
/// 1992, in the form of Tarvainen & Valpola, 2017); nothing changes when the loss scale says to skip.
/// `compute_weights` gets the average in its own type.
struct AverageWeights {
  static constexpr const char* name = "average_weights";
  float decay = 0.0f;
  Tensor parameters, average;
  Tensor compute_weights = {}, loss_scale = {};  ///< both optional
  std::int64_t flops() const { return 3 * parameters.count; }
  std::string describe() const { return fmt::format("count={} decay={}", parameters.count, decay); }
  template <class Self, class Visitor>
  static void visit(Self& call, Visitor&& v) {
    v.reads(call.parameters), v.updates(call.average), v.updates(call.compute_weights),
        v.reads(call.loss_scale);
  }
};

CONVOY_LAUNCHERS(SgdStep);
CONVOY_LAUNCHERS(AdamStep);
CONVOY_LAUNCHERS(AverageWeights);

}  // namespace convoy
