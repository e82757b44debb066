// The schema as text for `--help`.
#include <map>

#include "src/config/schema.h"

namespace convoy {
namespace {

std::string format_rows(const std::vector<HelpRow>& rows) {
  std::size_t key = 0, type = 0, initial = 0;
  for (const HelpRow& row : rows) {
    key = std::max(key, row.key.size());
    type = std::max(type, row.type.size());
    initial = std::max(initial, row.initial.size());
  }
  std::string out;
  for (const HelpRow& row : rows) {
    out += fmt::format("  {:<{}}  {:<{}}  {:<{}}  {}\n", row.key, key, row.type,
                       std::min<std::size_t>(type, 36), row.initial, initial, row.help);
  }
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
std::string format_kind(const Kind<S>& kind) {
  std::vector<HelpRow> rows = help_rows(kind.table, "", kind.prototype);
  for (HelpRow& row : rows) row.key = "  " + row.key;
  return fmt::format("  {}: {}\n", kind.name, meaning(kind)) + format_rows(rows);
}

template <class S>
std::string format_kinds(const std::vector<Kind<S>>& kinds) {
  std::string out;
  for (const Kind<S>& kind : kinds) out += format_kind(kind);
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

std::string schema_help() {
  return fmt::format(
      "Configuration keys, what they accept, their defaults:\n{}\nEntries of data.augment:\n{}\nEntries of "
      "model.layers:\n{}{}",
      format_rows(help_rows(config_table(), "", Config{})), format_kinds(augment_kinds()),
      format_kinds(layer_kinds()), format_kind(repeat_kind()));
}

std::vector<std::string> schema_keys() {
  std::vector<std::string> keys;
  for (const HelpRow& row : help_rows(config_table(), "", Config{})) keys.push_back(row.key);
  return keys;
}

std::string schema_markdown() {
  return "# Configuration reference\n\n"
         "Every key, what it accepts and its default. `convoy keys --markdown` writes this page from the "
         "tables that "
         "read\nthe file. An unknown, repeated or mistyped key is an error that names its line and the "
         "nearest "
         "valid key. Any\nkey can be given on the command line, too: `convoy train FILE "
         "train.epochs=5`.\n\n" +
         tables_of(help_rows(config_table(), "", Config{})) + "## Entries of `data.augment`\n\n" +
         sections_of(augment_kinds()) + "## Entries of `model.layers`\n\n" +
         "`name`, `name: value` where a short form is given, or `name: {key: value, ...}`. YAML's anchors "
         "and aliases "
         "repeat\nwhat was written before: `- residual: &block {body: [...]}`, later `- residual: "
         "*block`.\n\n" +
         sections_of(layer_kinds()) + section_of(repeat_kind());
}

}  // namespace convoy
