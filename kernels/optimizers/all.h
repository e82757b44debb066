// The update rules there are. This list is the only one: keys of the YAML, moments and their names in
// checkpoints, launchers and tests follow from it.
#pragma once

#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/optimizers/adam.h"
#include "kernels/optimizers/lamb.h"
#include "kernels/optimizers/lion.h"
#include "kernels/optimizers/rmsprop.h"
#include "kernels/optimizers/sgd.h"

namespace convoy {

/// The first one is the default.
using OptimizerRule = std::variant<Sgd, Adam, RmsProp, Lion, Lamb>;

/// What YAML calls it.
inline const char* name_of(const OptimizerRule& rule) {
  return std::visit(
      []<class Rule>(const Rule& r) {
        if constexpr (Rule::names.size() > 1)
          return r.name();
        else
          return Rule::names[0];
      },
      rule);
}

/// Whether the rule's steps go with TrustRatios (kernels/trust_ratios.h).
inline bool needs_trust_ratios(const OptimizerRule& rule) {
  return std::visit([]<class Rule>(const Rule&) { return is_layer_wise<Rule>; }, rule);
}

/// The moments that these hyperparameters need, by name; each is a block like the parameters, zero at first.
inline std::span<const char* const> moments_of(const OptimizerRule& rule) {
  return std::visit(
      []<class Rule>(const Rule& r) {
        return std::span<const char* const>(Rule::moments).first(kept_moments(r));
      },
      rule);
}

/// Calls function(Rule{}) for every rule of the list.
template <class Function, std::size_t... i>
void for_each_rule(Function function, std::index_sequence<i...>) {
  (function(std::variant_alternative_t<i, OptimizerRule>{}), ...);
}
template <class Function>
void for_each_rule(Function function) {
  for_each_rule(function, std::make_index_sequence<std::variant_size_v<OptimizerRule>>{});
}

/// Every rule under each of its names, with its default hyperparameters.
inline std::vector<OptimizerRule> all_rules() {
  std::vector<OptimizerRule> rules;
  for_each_rule([&]<class Rule>(const Rule& rule) {
    if constexpr (Rule::names.size() > 1) {
      for (const Rule& variant : Rule::variants()) rules.emplace_back(variant);
    } else {
      rules.emplace_back(rule);
    }
  });
  return rules;
}

}  // namespace convoy
