// JSON as this program writes it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace convoy {

/// `json` with \u.... in place of characters that may not be printed (printable.h), which JSON itself leaves
/// as they are: other readers see the same text.
std::string with_json_escapes(const std::string& json);

/// With line breaks and `indent` spaces for each level; in one line for -1. Of an nlohmann::json or
/// ordered_json. What is not UTF-8, as names of files may be, is replaced rather than refused.
template <class Json>
std::string to_json_text(const Json& value, int indent) {
  return with_json_escapes(value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace));
}
template <class Json>
std::string to_json_line(const Json& value) {
  return to_json_text(value, -1);
}

}  // namespace convoy
