// YAML reduced to what a configuration can hold: scalars, lists and maps that know their line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

namespace convoy {

/// A node of the document. A map keeps its entries in the order of the text, duplicates included: the schema,
/// which knows the key's full path, is what refuses them.
struct Value {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  Mark mark;
  std::string text;               ///< scalar
  bool quoted = false;            ///< scalar in quotes: a string, never a number
  std::vector<Value> items;       ///< list: elements; map: values
  std::vector<std::string> keys;  ///< map: keys[i] belongs to items[i]

  static Value scalar(std::string text, bool quoted = false);
  static Value list(std::vector<Value> items);
  static Value map();
  void add(std::string key, Value value);
  /// The first entry of that key in a map; null when there is none or this is no map.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
};

/// What a value is, for "expected an integer, got ...": `"abc"`, `a list`, `nothing`.
std::string describe(const Value& value);
/// In double quotes, control characters escaped as YAML does; at most `longest` characters and an ellipsis.
std::string quote(std::string_view text, std::size_t longest = std::string_view::npos);

/// Parses one YAML document. Every value carries `source` and its line; `numbered` false leaves the line out
/// (an override has none). Throws Error (exit code 2) for bad syntax, several documents, or what is no text
/// at all.
Value parse_yaml(const std::string& text, const std::string& source, bool numbered = true);

/// Block style outside, flow style for what fits a line.
std::string write_yaml(const Value& map);
/// On one line, in flow style.
std::string write_flow(const Value& value);

}  // namespace convoy
