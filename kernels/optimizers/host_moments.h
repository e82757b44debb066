// The moments of an optimizer step in host memory, for the reference and the CPU engine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <variant>

#include "kernels/optimizer.h"

namespace convoy {

/// One step of one parameter. A rule whose update takes another number of moments than it names does not
/// compile.
template <class Rule, class At, class T, std::size_t count>
void update(const Rule& rule, const At& at, T decay, T& w, T g, std::array<T, count>& moments) {
  std::apply([&](auto&... moment) { rule.update(at, decay, w, g, moment...); }, moments);
}

/// Where the step of a layer-wise rule goes; the moments become those of the step.
template <class Rule, class At, class T, std::size_t count>
T direction(const Rule& rule, const At& at, T decay, T w, T g, std::array<T, count>& moments) {
  if constexpr (is_layer_wise<Rule>)
    return std::apply([&](auto&... moment) { return rule.direction(at, decay, w, g, moment...); }, moments);
  else
    fail("internal error: trust ratios of {}", name_of(rule));
}

/// What is the same for all parameters of step t, as the rule's formula is written.
template <class T, class Rule>
auto reference_step(const Rule& rule, T rate, double t) {
  if constexpr (requires { rule.reference(rate, t); })
    return rule.reference(rate, t);
  else
    return AtRate<T>{rate};
}

/// The first `count` moments that a rule names: all, or all but the last.
template <class T, std::size_t count>
struct HostMoments {
  std::array<T*, count> blocks{};
  std::array<T, count> load(std::int64_t i) const {
    std::array<T, count> one;
    for (std::size_t m = 0; m < count; ++m) one[m] = blocks[m][i];
    return one;
  }
  void store(std::int64_t i, const std::array<T, count>& one) const {
    for (std::size_t m = 0; m < count; ++m) blocks[m][i] = one[m];
  }
};

/// Calls function(rule, HostMoments) for the call's rule.
template <class T, class Context, class Function>
void with_rule(const Context& context, const OptimizerStep& call, Function function) {
  check_moments(call);
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        const auto with_moments = [&]<std::size_t count>(HostMoments<T, count> moments) {
          for (std::size_t m = 0; m < count; ++m)
            moments.blocks[m] = context.template data<T>(call.moments[m]);
          function(rule, moments);
        };
        constexpr std::size_t all = moment_count<Rule>;
        if constexpr (may_lack_last_moment<Rule>) {
          if (kept_moments(rule) < all) return with_moments(HostMoments<T, all - 1>{});
        }
        with_moments(HostMoments<T, all>{});
      },
      call.rule);
}

}  // namespace convoy
