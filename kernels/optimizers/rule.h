// What an update rule is: a struct of the hyperparameters that YAML gives, with
//
// clang-format off
//   static constexpr std::array names    what YAML can call it; of several, name() says which one an object is, and
//                                        variants() makes one of each
//   static constexpr std::array moments  what it remembers of each parameter, by its names in checkpoints
//   static constexpr int flops           per parameter
//   bool operator==                      defaulted
//   static constexpr bool layer_wise     optional: true for rules with direction(), below
//   bool keeps_last_moment() const       optional: false where these hyperparameters do not need the last moment;
//                                        the host engines then call update without it, CUDA with a zero
//   update(at, decay, w, g, moments...)  one step of one parameter, in float or double, on host and device
//   direction(at, decay, w, g, moments...)  of rules whose step a parameter's norm limits (kernels/trust_ratios.h): where
//                                        update goes, w -= at.rate direction, after which the moments are new
// clang-format on
//
// `g` is the gradient without the loss scale, `decay` the weight's decay factor. `at` is what all parameters
// of a step share: at.rate and, for rules with members reference(rate, t), cpu(rate, t) and on_device() as in
// adam.h, what those make. Engines walk over parameters and moments in the same way for all rules
// (kernels/optimizer.h), so that a rule needs no launchers.
#pragma once

#include <cmath>
#include <cstddef>
#include <tuple>

#include "core/host_device.h"

namespace convoy {

/// A step of a rule that asks for no more than the learning rate.
template <class T>
struct AtRate {
  T rate;
};

/// a b + c, for sums of two products: nvcc fuses one of them into the sum, and here it is this one.
template <class T>
CONVOY_HOST_DEVICE inline T multiply_add(T a, T b, T c) {
#ifdef __CUDA_ARCH__
  return fma(a, b, c);
#else
  return a * b + c;
#endif
}

template <class Rule>
constexpr std::size_t moment_count = std::tuple_size_v<decltype(Rule::moments)>;

/// Whether some hyperparameters of the rule do not need its last moment.
template <class Rule>
constexpr bool may_lack_last_moment = requires(const Rule& rule) {
  rule.keeps_last_moment();
};

/// Whether a rule's steps are in proportion to the norm of each parameter.
template <class Rule>
constexpr bool is_layer_wise = requires {
  Rule::layer_wise;
};

/// How many of its moments, from the first, the rule needs with its hyperparameters.
template <class Rule>
std::size_t kept_moments(const Rule& rule) {
  if constexpr (may_lack_last_moment<Rule>) {
    if (!rule.keeps_last_moment()) return moment_count<Rule> - 1;
  }
  return moment_count<Rule>;
}

}  // namespace convoy
