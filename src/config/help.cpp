#include "src/config/help.h"

#include <map>

#include "core/wrap.h"
#include "src/config/schema.h"

namespace convoy {
namespace {

/// `key: default`, what it accepts beside it, and below them what it means.
std::string format_row(const HelpRow& row, std::size_t width, std::size_t indent) {
  constexpr std::size_t types_at = 40;
  std::string out(indent, ' ');
  out += row.key + ": " + row.initial;
  if (out.size() + 2 > types_at) out += '\n';
  const std::size_t written = out.ends_with('\n') ? 0 : out.size();
  out.append(types_at - written, ' ');
  out += wrapped(row.type, width, types_at, types_at) + "\n";
  out.append(indent + 4, ' ');
  return out + wrapped(row.help, width, indent + 4, indent + 4) + "\n";
}

std::string format_rows(const std::vector<HelpRow>& rows, std::size_t width, std::size_t indent = 2) {
  std::string out;
  for (const HelpRow& row : rows) out += format_row(row, width, indent);
  return out;
}

/// "batch normalisation", and what the short form means where there is one.
template <class S>
std::string meaning(const Kind<S>& kind) {
  const std::string& key = kind.table.short_key;
  return key.empty() ? kind.help
                     : fmt::format("{0} (`{1}: x` is `{1}: {{{2}: x}}`)", kind.help, kind.name, key);
}

template <class S>
std::string format_kind(const Kind<S>& kind, std::size_t width) {
  return "  " + wrapped(fmt::format("{}: {}", kind.name, meaning(kind)), width, 2, 6) + "\n" +
         format_rows(help_rows(kind.table, "", kind.prototype), width, 6);
}

template <class S>
std::string format_kinds(const std::vector<Kind<S>>& kinds, std::size_t width) {
  std::string out;
  for (const Kind<S>& kind : kinds) out += format_kind(kind, width);
  return out;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

/// A Markdown table, or nothing without rows.
std::string table_of(const std::vector<HelpRow>& rows) {
  if (rows.empty()) return "";
  std::string out = "| key | accepts | default | meaning |\n|---|---|---|---|\n";
  for (const HelpRow& row : rows) {
    out += fmt::format("| `{}` | {} | `{}` | {} |\n", row.key, escaped(row.type), escaped(row.initial),
                       escaped(row.help));
  }
  return out + "\n";
}

template <class S>
std::string section_of(const Kind<S>& kind) {
  return fmt::format("### `{}`\n\n{}.\n\n", kind.name, escaped(meaning(kind))) +
         table_of(help_rows(kind.table, "", kind.prototype));
}

template <class S>
std::string sections_of(const std::vector<Kind<S>>& kinds) {
  std::string out;
  for (const Kind<S>& kind : kinds) out += section_of(kind);
  return out;
}

/// The top level's keys, then a table per section.
std::string tables_of(const std::vector<HelpRow>& rows) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<HelpRow>> tables;
  for (const HelpRow& row : rows) {
    const std::size_t dot = row.key.find('.');
    const std::string name = dot == std::string::npos ? "" : row.key.substr(0, dot);
    if (!tables.contains(name)) names.push_back(name);
    tables[name].push_back(row);
  }
  std::string out = table_of(tables[""]);
  for (const std::string& name : names) {
    if (!name.empty()) out += fmt::format("## `{}`\n\n", name) + table_of(tables[name]);
  }
  return out;
}

}  // namespace

namespace {

constexpr const char* layers_title = "Entries of model.layers:\n";
constexpr const char* name_help =
    "Any layer may have a name beside its kind: `- {conv: {out: 64, kernel: 7}, name: conv1}`. Its "
    "parameters "
    "are then called conv1.weight and conv1.bias, inside a block named layer1.0 layer1.0.conv1.weight. {i} "
    "in a "
    "name stands for the round of the repeat around it. Without a name, a layer is called by its position.";
constexpr const char* augment_title = "Entries of data.augment:\n";

std::vector<HelpRow> all_rows() {
  return help_rows(config_table(), "", Config{});
}

std::string layers_help(std::size_t width) {
  return layers_title + ("  " + wrapped(name_help, width, 2, 2) + "\n") + format_kinds(layer_kinds(), width) +
         format_kind(repeat_kind(), width);
}

std::string augment_help(std::size_t width) {
  return augment_title + format_kinds(augment_kinds(), width);
}

/// The names of sections that can be asked for.
std::vector<std::string> topics() {
  std::vector<std::string> names;
  for (const Field<Config>& field : config_table().fields) {
    if (field.rows.empty()) continue;
    names.push_back(field.key);
    if (field.key == "data") names.emplace_back("augment");
    if (field.key == "model") names.emplace_back("layers");
  }
  return names;
}

/// Of the layer or augmentation of that name; empty when there is none.
std::string kind_help(const std::string& name, std::size_t width) {
  std::string out;
  const auto look_in = [&](const auto& kinds, const char* title) {
    for (const auto& kind : kinds)
      if (kind.name == name) out += title + format_kind(kind, width);
  };
  look_in(layer_kinds(), layers_title);
  look_in(augment_kinds(), augment_title);
  if (name == repeat_kind().name) out += layers_title + format_kind(repeat_kind(), width);
  return out;
}

}  // namespace

std::string keys_help(const std::string& topic, std::size_t width) {
  const std::string title = "Keys, their defaults and what they accept:\n";
  if (topic.empty()) {
    return title + format_rows(all_rows(), width) + "\n" + augment_help(width) + "\n" + layers_help(width);
  }
  if (topic == "layers" || topic == "model.layers") return layers_help(width);
  if (topic == "augment" || topic == "data.augment") return augment_help(width);
  std::vector<HelpRow> rows;
  const std::vector<std::string> keys = schema_keys();
  const auto add_where = [&](const auto& holds) {
    if (!rows.empty()) return;
    for (const HelpRow& row : all_rows())
      if (holds(row.key)) rows.push_back(row);
  };
  add_where([&](const std::string& key) { return key.starts_with(topic + "."); });
  add_where([&](const std::string& key) { return key == topic; });
  if (rows.empty()) {
    if (const std::string kind = kind_help(topic, width); !kind.empty()) return kind;
  }
  add_where([&](const std::string& key) { return key.ends_with("." + topic); });
  if (rows.empty()) {
    const std::vector<std::string> names = topics();
    const std::string key = key_for(topic, keys);
    const std::string near =
        key.empty() ? did_you_mean(topic, names) : fmt::format(" (did you mean {}?)", quote(key));
    fail_usage("no section, layer or key is called {}{}; the sections are {}", quote(topic, 60), near,
               fmt::join(names, ", "));
  }
  std::string more;
  if (topic == "data") more = "\n" + augment_help(width);
  if (topic == "model") more = "\n" + layers_help(width);
  return title + format_rows(rows, width) + more;
}

std::string schema_help() {
  return keys_help("", 80);
}

std::vector<std::string> schema_keys() {
  std::vector<std::string> keys;
  for (const HelpRow& row : help_rows(config_table(), "", Config{})) keys.push_back(row.key);
  return keys;
}

constexpr const char* page_begin = R"(# Configuration reference

Every key, what it accepts and its default. `convoy keys --markdown` writes this page from the tables that read the
file; `convoy keys SECTION` prints a part of it. An unknown, repeated or mistyped key is an error that names its line
and the nearest valid key.

The command line changes any of it: `convoy train FILE train.epochs=5`. Entries of lists are counted from 0:
`model.layers.0.conv.out=32` or `model.layers[0].conv.out=32`. `~train.epochs` removes a key, so that it has its
default. With `optimizer.name=adamw` the keys of the file that belong to another optimizer are left out; so with
`schedule.name` and `data.source`.

)";

std::string schema_markdown() {
  return page_begin + tables_of(help_rows(config_table(), "", Config{})) +
         "## Entries of `data.augment`\n\n" + sections_of(augment_kinds()) +
         "## Entries of `model.layers`\n\n" +
         "`name`, `name: value` where a short form is given, or `name: {key: value, ...}`. YAML's anchors "
         "and aliases "
         "repeat\nwhat was written before: `- residual: &block {body: [...]}`, later `- residual: "
         "*block`.\n\n" +
         wrapped(name_help, 120, 0, 0) + "\n\n" + sections_of(layer_kinds()) + section_of(repeat_kind());
}

}  // namespace convoy
