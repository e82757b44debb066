// The schema of the section `optimizer`: what all rules share, and the keys of each.
#include "src/config/pattern_lists.h"
#include "src/optimizers/keys.h"

namespace convoy {
namespace {

using O = OptimizerConfig;

/// The update rule by its name; it begins with its default hyperparameters.
Field<O> name_field() {
  const std::vector<OptimizerRule> rules = all_rules();
  std::vector<Word<std::size_t>> words;
  for (const OptimizerRule& rule : rules) words.push_back({name_of(rule), words.size()});
  const Codec<std::size_t> codec = choice(std::move(words));
  Field<O> name;
  name.key = "name", name.type = codec.type, name.help = "update rule";
  name.read = [=](O& o, const Place& place) { o.rule = rules[codec.read(place)]; };
  name.write = [](const O& o) { return Value::scalar(name_of(o.rule)); };
  return name;
}

/// A rule's keys as keys of the section, which has them where it names this rule.
template <class Rule>
std::vector<Field<O>> section_keys_of(const Rule& rule) {
  const Table<Rule> table = keys_of(rule);
  std::vector<HelpRow> rows = help_rows(table, "", rule);
  std::vector<Field<O>> keys;
  for (std::size_t i = 0; i < table.fields.size(); ++i) {
    const Field<Rule> own = table.fields[i];
    rows[i].key.clear();  // the section's key says it
    Field<O> key;
    key.key = own.key, key.type = own.type, key.rows = {rows[i]};
    key.read = [=](O& o, const Place& place) { own.read(std::get<Rule>(o.rule), place); };
    key.write = [=](const O& o) { return own.write(std::get<Rule>(o.rule)); };
    keys.push_back(std::move(key).only(fmt::format("name: {}", fmt::join(Rule::names, " | ")),
                                       [](const O& o) { return std::holds_alternative<Rule>(o.rule); }));
  }
  return keys;
}

/// One key for two that are called alike; where rules accept or mean different things, the help says both.
Field<O> merged(const Field<O>& a, const Field<O>& b) {
  const std::string names = b.condition.substr(b.condition.find(' ') + 1);
  const auto both = [&](const std::string& x, const std::string& y) {
    return x == y ? x : fmt::format("{}; {}: {}", x, names, y);
  };
  const HelpRow &row = a.rows[0], &other = b.rows[0];
  Field<O> key;
  key.key = a.key, key.type = both(a.type, b.type);
  key.rows = {{"", key.type, both(row.initial, other.initial), both(row.help, other.help)}};
  key.read = [=](O& o, const Place& place) { (a.applies(o) ? a : b).read(o, place); };
  key.write = [=](const O& o) { return (a.applies(o) ? a : b).write(o); };
  return std::move(key).only(fmt::format("{} | {}", a.condition, names),
                             [=](const O& o) { return a.applies(o) || b.applies(o); });
}

}  // namespace

Table<OptimizerConfig> optimizer_table() {
  std::vector<Field<O>> own;  // of the rules
  for_each_rule([&](const auto& rule) {
    for (const Field<O>& key : section_keys_of(rule)) {
      const auto known =
          std::find_if(own.begin(), own.end(), [&](const Field<O>& k) { return k.key == key.key; });
      if (known == own.end())
        own.push_back(key);
      else
        *known = merged(*known, key);
    }
  });
  Table<O> table;
  table.short_key = "name";
  table.fields = {name_field(), field("lr", &O::lr, number<float>(above(0)), "learning rate, at its peak")};
  table.fields.insert(table.fields.end(), own.begin(), own.end());
  table.fields.push_back(field("weight_decay", &O::weight_decay, number<float>(at_least(0)),
                               "strength of the pull of weights towards zero"));
  table.fields.push_back(
      field("decay_all", &O::decay_all, boolean(), "decay biases and normalisation parameters too"));
  table.fields.push_back(
      field("groups", &O::groups, group_list(),
            "parameters with another learning rate or weight decay; the first that has one counts"));
  table.check = [](const O& o, const Place& place) {
    std::visit(
        [&](const auto& rule) {
          if (const auto keys = keys_of(rule); keys.check) keys.check(rule, place);
        },
        o.rule);
  };
  return table;
}

}  // namespace convoy
