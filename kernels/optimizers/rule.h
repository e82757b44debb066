// What an update rule is: a struct of the hyperparameters that YAML gives, with
//
// clang-format off
//   static constexpr std::array names    what YAML can call it; of several, name() says which one an object is, and
//                                        variants() makes one of each
//   static constexpr std::array moments  what it remembers of each parameter, by its names in checkpoints
//   static constexpr int flops           per parameter
//   bool operator==                      defaulted
//   bool keeps_moments() const           optional: false where these hyperparameters need no moments; the host
//                                        engines then call update without them, CUDA with zeros
//   update(at, decay, w, g, moments...)  one step of one parameter, in float or double, on host and device
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

/// Whether some hyperparameters of the rule need no moments.
template <class Rule>
constexpr bool may_lack_moments = requires(const Rule& rule) {
  rule.keeps_moments();
};

template <class Rule>
bool keeps_moments(const Rule& rule) {
  if constexpr (may_lack_moments<Rule>) return rule.keeps_moments();
  return moment_count<Rule> > 0;
}

}  // namespace convoy
