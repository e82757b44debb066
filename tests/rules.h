// The update rules of optimizers, for tests that hold for all of them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "src/optimizers/keys.h"

namespace convoy::testing {

struct NamedRule {
  std::string name;
  OptimizerRule rule;
};
inline void PrintTo(const NamedRule& rule, std::ostream* out) {
  *out << rule.name;
}

/// Gives each key of the rule the first of these values, as YAML has them, that it accepts.
template <class Rule>
void set_keys(Rule& rule, const std::vector<std::string>& values) {
  for (const Field<Rule>& key : keys_of(rule).fields) {
    bool taken = false;
    for (const std::string& value : values) {
      try {
        if (!taken) key.read(rule, Place{Value::scalar(value), key.key});
        taken = true;
      } catch (const Error&) {  // of another type
      }
    }
    if (!taken) fail("{} accepts none of {}", key.key, fmt::join(values, ", "));
  }
}

/// Every rule under each of its names, with its defaults and with all its keys set.
inline std::vector<NamedRule> all_named_rules() {
  std::vector<NamedRule> rules;
  for (OptimizerRule rule : all_rules()) {
    rules.push_back({name_of(rule), rule});
    std::visit([](auto& own) { set_keys(own, {"0.5", "true"}); }, rule);
    rules.push_back({std::string(name_of(rule)) + "_with_keys", rule});
  }
  return rules;
}

}  // namespace convoy::testing
