// The moments of an optimizer step in host memory, for the reference and the CPU engine.
#pragma once

#include <array>
#include <cstdint>
#include <tuple>
#include <variant>

#include "kernels/optimizer.h"

namespace convoy {

/// One parameter's moments, of the walk's type. (A rule may have none.)
template <class Rule, class T>
using MomentsOfOne = std::array<T, moment_count<Rule>>;

/// One step of one parameter. A rule whose update takes another number of moments than it names does not
/// compile.
template <class Rule, class At, class T>
void update(const Rule& rule, const At& at, T decay, T& w, T g, MomentsOfOne<Rule, T>& moments) {
  std::apply([&](auto&... moment) { rule.update(at, decay, w, g, moment...); }, moments);
}

/// `kept`: false where the hyperparameters need no moments. Then they read as -0, which adds nothing to any
/// number, not even to -0, and are dropped.
template <class Rule, class T, bool kept>
struct HostMoments {
  std::array<T*, moment_count<Rule>> blocks{};
  MomentsOfOne<Rule, T> load(std::int64_t i) const {
    MomentsOfOne<Rule, T> one;
    if constexpr (kept)
      for (std::size_t m = 0; m < one.size(); ++m) one[m] = blocks[m][i];
    else
      one.fill(T(-0.0));
    return one;
  }
  void store(std::int64_t i, const MomentsOfOne<Rule, T>& one) const {
    if constexpr (kept)
      for (std::size_t m = 0; m < one.size(); ++m) blocks[m][i] = one[m];
  }
};

/// Calls function(rule, HostMoments) for the call's rule.
template <class T, class Context, class Function>
void with_rule(const Context& context, const OptimizerStep& call, Function function) {
  check_moments(call);
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        if constexpr (moment_count<Rule> == 0 || may_lack_moments<Rule>) {
          if (!keeps_moments(rule)) return function(rule, HostMoments<Rule, T, false>{});
        }
        HostMoments<Rule, T, (moment_count<Rule> > 0)> moments;
        for (std::size_t m = 0; m < call.moments.size(); ++m)
          moments.blocks[m] = context.template data<T>(call.moments[m]);
        function(rule, moments);
      },
      call.rule);
}

}  // namespace convoy
