// The schema as text for `--help`.
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

template <class S>
std::string format_kinds(const std::vector<Kind<S>>& kinds) {
  std::string out;
  for (const Kind<S>& kind : kinds) {
    out += fmt::format("  {}: {}{}\n", kind.name, kind.help,
                       kind.table.short_key.empty() ? ""
                                                    : fmt::format(" (`{0}: x` is `{0}: {{{1}: x}}`)",
                                                                  kind.name, kind.table.short_key));
    std::vector<HelpRow> rows = help_rows(kind.table, "", kind.prototype);
    for (HelpRow& row : rows) row.key = "  " + row.key;
    out += format_rows(rows);
  }
  return out;
}

}  // namespace

std::string schema_help() {
  return fmt::format(
      "Configuration keys, what they accept, their defaults:\n{}\nEntries of data.augment:\n{}\nEntries of "
      "model.layers:\n{}",
      format_rows(help_rows(config_table(), "", Config{})), format_kinds(augment_kinds()),
      format_kinds(layer_kinds()));
}

}  // namespace convoy
