// The schema as data. A table binds each key to a member, what it accepts and a line of help; reading,
// writing, messages and `--help` all come from it.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/config/codec.h"

namespace convoy {

/// A line of the help.
struct HelpRow {
  std::string key, type, initial, help;
};

/// One key of a section that fills an S.
template <class S>
struct Field {
  std::string key, type, help;
  std::function<void(S&, const Place&)> read;
  std::function<std::optional<Value>(const S&)> write;
  std::vector<HelpRow> rows;  ///< of a section: its keys
  std::string short_key;      ///< of a section: see Table
  /// Of a section: its keys in `map` that mean nothing beside the others, each with its condition.
  std::function<std::vector<std::pair<std::string, std::string>>(const Value& map)> idle_keys;
  bool required = false;
  std::string condition;                  ///< of a key that only sometimes means something: "name: sgd"
  std::function<bool(const S&)> applies;  ///< empty: always

  Field require() && {
    required = true;
    return std::move(*this);
  }
  /// For keys that stand after the one the condition looks at.
  Field only(std::string text, std::function<bool(const S&)> when) && {
    condition = std::move(text);
    applies = std::move(when);
    return std::move(*this);
  }
};

/// The keys of a section and what must hold between them.
template <class S>
struct Table {
  std::vector<Field<S>> fields;
  std::function<void(const S&, const Place&)> check;
  std::string short_key;  ///< the key that `section: value` sets; empty: none
};

template <class S>
std::vector<std::string> keys_of(const Table<S>& table) {
  std::vector<std::string> keys;
  for (const Field<S>& field : table.fields) keys.push_back(field.key);
  return keys;
}

/// Unknown and repeated keys.
void check_keys(const Place& place, const std::vector<std::string>& valid, Problems& problems);

/// Tells a struct that keeps its line where it stands.
template <class S>
void set_mark(S& target, const Place& place) {
  if constexpr (requires { target.mark; }) target.mark = place.value.mark;
}

template <class S>
void read_table(const Table<S>& table, S& target, const Place& place) {
  Value spelled_out;
  const Value* map = &place.value;
  if (map->kind != Value::Kind::map && map->kind != Value::Kind::null && !table.short_key.empty()) {
    spelled_out = Value::map();
    spelled_out.mark = map->mark;
    spelled_out.add(table.short_key, *map);
    map = &spelled_out;
  }
  const std::vector<std::string> keys = keys_of(table);
  if (map->kind != Value::Kind::map) {
    place.refuse("expected a section with keys {}; got {}", fmt::join(keys, ", "), describe(*map));
  }
  const Place section{*map, place.path};
  Problems problems;
  check_keys(section, keys, problems);
  for (const Field<S>& field : table.fields) {
    problems.attempt([&] {
      const Place at = section.at(field.key);
      if (map->find(field.key) == nullptr) {
        if (field.required) at.refuse("missing; expected {}", field.type);
        return;
      }
      if (field.applies && !field.applies(target)) at.refuse("only with {}", field.condition);
      field.read(target, at);
    });
  }
  problems.raise();
  if (table.check) table.check(target, section);
}

template <class S>
Value write_table(const Table<S>& table, const S& source) {
  Value map = Value::map();
  for (const Field<S>& field : table.fields) {
    if (field.applies && !field.applies(source)) continue;
    if (auto value = field.write(source)) map.add(field.key, std::move(*value));
  }
  return map;
}

/// The help of a table's keys below `path`, defaults taken from `initial`.
template <class S>
std::vector<HelpRow> help_rows(const Table<S>& table, const std::string& path, const S& initial) {
  std::vector<HelpRow> rows;
  for (const Field<S>& field : table.fields) {
    const std::string key = path.empty() ? field.key : path + "." + field.key;
    const std::string note = field.condition.empty() ? "" : fmt::format(" ({})", field.condition);
    for (const HelpRow& row : field.rows)
      rows.push_back({key + row.key, row.type, row.initial, row.help + note});
    if (!field.rows.empty()) continue;
    std::string value = "required";
    if (!field.required) {
      const auto written = field.write(initial);
      value = written ? write_flow(*written) : "none";
    }
    rows.push_back({key, field.type, value, field.help + note});
  }
  return rows;
}

/// The keys in `map` that do not apply, each with its condition. What cannot be read is passed over.
template <class S>
std::vector<std::pair<std::string, std::string>> idle_keys(const Table<S>& table, const Value& map) {
  std::vector<std::pair<std::string, std::string>> idle;
  S target{};
  for (const Field<S>& field : table.fields) {
    const Value* value = map.find(field.key);
    if (value == nullptr) continue;
    if (field.applies && !field.applies(target)) {
      idle.emplace_back(field.key, field.condition);
      continue;
    }
    try {
      field.read(target, Place{*value, field.key});
    } catch (const Error&) {  // is told when the table is read
    }
  }
  return idle;
}

/// Binds a key to a member.
template <class S, class T>
Field<S> field(std::string key, T S::*member, const Codec<T>& codec, std::string help) {
  Field<S> field;
  field.key = std::move(key);
  field.type = codec.type;
  field.help = std::move(help);
  field.read = [=](S& target, const Place& place) { target.*member = codec.read(place); };
  field.write = [=](const S& source) { return codec.write(source.*member); };
  return field;
}

/// A section of its own struct.
template <class S, class T>
Field<S> section(std::string key, T S::*member, const Table<T>& table) {
  Field<S> field;
  field.key = std::move(key);
  field.type = fmt::format("a section with keys {}", fmt::join(keys_of(table), ", "));
  field.read = [=](S& target, const Place& place) {
    set_mark(target.*member, place);
    read_table(table, target.*member, place);
  };
  field.write = [=](const S& source) { return write_table(table, source.*member); };
  field.short_key = table.short_key;
  field.idle_keys = [=](const Value& map) { return idle_keys(table, map); };
  for (HelpRow& row : help_rows(table, "", T{})) {
    row.key = "." + row.key;
    field.rows.push_back(std::move(row));
  }
  return field;
}

/// A section that may be absent.
template <class S, class T>
Field<S> section(std::string key, std::optional<T> S::*member, const Table<T>& table) {
  Field<S> field = section<S, T>(std::move(key), static_cast<T S::*>(nullptr), table);
  field.read = [=](S& target, const Place& place) { read_table(table, (target.*member).emplace(), place); };
  field.write = [=](const S& source) -> std::optional<Value> {
    if (!(source.*member)) return std::nullopt;
    return write_table(table, *(source.*member));
  };
  return field;
}

/// A section whose keys fill the same struct as its surroundings; left out when none of them has a value.
template <class S>
Field<S> inner_section(std::string key, const Table<S>& table) {
  Field<S> field;
  field.key = std::move(key);
  field.type = fmt::format("a section with keys {}", fmt::join(keys_of(table), ", "));
  field.read = [=](S& target, const Place& place) { read_table(table, target, place); };
  field.write = [=](const S& source) -> std::optional<Value> {
    Value map = write_table(table, source);
    if (map.items.empty()) return std::nullopt;
    return map;
  };
  for (HelpRow& row : help_rows(table, "", S{})) {
    row.key = "." + row.key;
    field.rows.push_back(std::move(row));
  }
  return field;
}

/// An entry of a list that names its kind: `relu`, `maxpool: 2`, `conv: {out: 32, kernel: 3}`.
template <class S>
struct Kind {
  std::string name, help;
  Table<S> table;
  S prototype{};
  std::function<bool(const S&)> matches = nullptr;  ///< whether a value is one of this kind
  std::string example;  ///< of layers: an entry that fits an image of some pixels; empty: the name alone does
};

/// What the entries of a list are called in messages.
template <class S>
inline constexpr const char* entry_noun = std::is_same_v<S, LayerConfig>  ? "layer"
                                          : std::is_same_v<S, LossConfig> ? "loss function"
                                                                          : "augmentation";

/// The kind that an entry names, and where its arguments are (an empty map for a bare word). `names`: of what
/// else may stand there, for messages.
template <class S>
std::pair<const Kind<S>*, Value> find_kind(const std::vector<Kind<S>>& kinds, const Place& place,
                                           std::vector<std::string> names = {}) {
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    names.insert(names.begin() + static_cast<std::ptrdiff_t>(i), kinds[i].name);
  }
  const Value& value = place.value;
  const bool word = value.kind == Value::Kind::scalar;
  if (!word && (value.kind != Value::Kind::map || value.items.size() != 1)) {
    place.refuse("expected one of {}, as `name` or `name: arguments`; got {}", fmt::join(names, ", "),
                 value.kind == Value::Kind::map ? fmt::format("a map of {} keys", value.items.size())
                                                : describe(value));
  }
  const std::string& name = word ? value.text : value.keys[0];
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    const std::string meant = did_you_mean(name, names);
    place.refuse(
        "unknown {} {}{}", entry_noun<S>, quote(name, 60),
        meant.empty() ? fmt::format("; the {}s are {}", entry_noun<S>, fmt::join(names, ", ")) : meant);
  }
  Value arguments = word ? Value::map() : value.items[0];
  if (word) arguments.mark = value.mark;
  return {&kinds[static_cast<std::size_t>(found - names.begin())], std::move(arguments)};
}

/// Reads one entry into `target`, which starts as the kind's prototype when `fresh`.
template <class S>
void read_kind(const std::vector<Kind<S>>& kinds, S& target, const Place& place, bool fresh,
               std::vector<std::string> names = {}) {
  const auto [kind, arguments] = find_kind(kinds, place, std::move(names));
  if (fresh) {
    target = kind->prototype;
    set_mark(target, place);
  }
  const Place at{arguments, place.path + "." + kind->name};
  if (kind->table.fields.empty() && !(arguments.kind == Value::Kind::map && arguments.items.empty())) {
    at.refuse("takes no arguments, got {}", describe(arguments));
  }
  read_table(kind->table, target, at);
}

/// The shortest form that says everything: `name`, `name: value`, or `name: {...}`.
template <class S>
Value write_kind(const Kind<S>& kind, const S& source) {
  if (kind.table.fields.empty()) return Value::scalar(kind.name);
  Value arguments = write_table(kind.table, source);
  Value entry = Value::map();
  const bool brief = arguments.items.size() == 1 && arguments.keys[0] == kind.table.short_key;
  entry.add(kind.name, brief ? Value(arguments.items[0]) : std::move(arguments));
  return entry;
}

/// `repeat: {times: 3, layers: [...]}` in a list of layers stands for its layers so many times over, each
/// time with parameters of their own. Only the text has it: a Config holds the layers.
struct Repeat {
  int times = 0;
  int from = 0;  ///< the first round's number, for {i} in names
  std::vector<LayerConfig> layers;
};

// The tables.
const Table<Config>& config_table();                   // sections.cpp
Table<OptimizerConfig> optimizer_table();              // src/optimizers/section.cpp
Table<ScheduleConfig> schedule_table();                // schedule_section.cpp
const std::vector<Kind<LayerConfig>>& layer_kinds();   // layer_list.cpp
const Kind<Repeat>& repeat_kind();                     // layer_list.cpp
const std::vector<Kind<DataConfig>>& augment_kinds();  // augment.cpp
/// `augment`: a list whose entries fill members of DataConfig.
Field<DataConfig> augment_field();
/// Of the operations among them (augment_operations.cpp), all and one.
const std::vector<Kind<DataConfig>>& operation_kinds();
const Kind<DataConfig>& kind_of(PictureOp op);
/// At the end of the list where an entry of that name is an operation, and not in it yet.
void add_operation(DataConfig& data, const std::string& kind);
/// What operations ask of model.input.
void check_operations(const Config& config, const Place& place);
/// What must hold of streamed sources and of keys that are theirs.
void check_streamed(const DataConfig& data, const Place& place);
void check_streamed_input(const Config& config, const Place& place);
/// A list of layers, for the model and inside residual blocks.
Codec<std::vector<LayerConfig>> layer_list(bool may_be_empty);
/// Several of them, any of which may be empty.
Codec<std::vector<std::vector<LayerConfig>>> layer_lists(std::size_t fewest, std::size_t most);

}  // namespace convoy
