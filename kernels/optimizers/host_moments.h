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

/// What is the same for all parameters of step t, as the rule's formula is written.
template <class T, class Rule>
auto reference_step(const Rule& rule, T rate, double t) {
  if constexpr (requires { rule.reference(rate, t); })
    return rule.reference(rate, t);
  else
    return AtRate<T>{rate};
}

/// Of `count` moments: all that the rule names, or none where the hyperparameters need none.
template <class Rule, class T, std::size_t count>
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
        if constexpr (may_lack_moments<Rule>) {
          if (!keeps_moments(rule)) return function(rule, HostMoments<Rule, T, 0>{});
        }
        HostMoments<Rule, T, moment_count<Rule>> moments;
        for (std::size_t m = 0; m < call.moments.size(); ++m)
          moments.blocks[m] = context.template data<T>(call.moments[m]);
        function(rule, moments);
      },
      call.rule);
}

}  // namespace convoy
