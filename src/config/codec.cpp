#include "src/config/codec.h"

#include <algorithm>
#include <cctype>

namespace convoy {
namespace {

/// Whether YAML reads the text back as it stands, outside quotes.
bool is_plain(const std::string& text) {
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '/';
  };
  return !text.empty() && word(text[0]) && text != "null" && text != "Null" && text != "NULL" &&
         std::all_of(text.begin(), text.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

}  // namespace

std::string Interval::text() const {
  if (std::isinf(low) && std::isinf(high)) return "";
  if (std::isinf(high)) return fmt::format(" {} {}", low_open ? ">" : ">=", low);
  return fmt::format(" in {}{}, {}{}", low_open ? "(" : "[", low, high, high_open ? ")" : "]");
}

Codec<bool> boolean() {
  return {"true | false",
          [](const Place& place) {
            const Value& value = place.value;
            if (value.kind == Value::Kind::scalar && !value.quoted) {
              for (const char* yes : {"true", "True", "TRUE"})
                if (value.text == yes) return true;
              for (const char* no : {"false", "False", "FALSE"})
                if (value.text == no) return false;
            }
            place.refuse("expected true or false, got {}", describe(value));
          },
          [](const bool& value) { return Value::scalar(value ? "true" : "false"); }};
}

Codec<std::string> string() {
  return {"text",
          [](const Place& place) {
            if (place.value.kind != Value::Kind::scalar || place.value.text.empty()) {
              place.refuse("expected text, got {}", describe(place.value));
            }
            return place.value.text;
          },
          [](const std::string& text) -> std::optional<Value> {
            if (text.empty()) return std::nullopt;
            return Value::scalar(text, !is_plain(text));
          }};
}

}  // namespace convoy
