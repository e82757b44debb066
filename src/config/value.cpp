#include "src/config/value.h"

#include <algorithm>
#include <utility>

namespace convoy {

Value Value::scalar(std::string text, bool quoted) {
  Value value;
  value.kind = Kind::scalar;
  value.text = std::move(text);
  value.quoted = quoted;
  return value;
}

Value Value::list(std::vector<Value> items) {
  Value value;
  value.kind = Kind::list;
  value.items = std::move(items);
  return value;
}

Value Value::map() {
  Value value;
  value.kind = Kind::map;
  return value;
}

void Value::add(std::string key, Value value) {
  keys.push_back(std::move(key));
  items.push_back(std::move(value));
}

const Value* Value::find(std::string_view key) const {
  const auto at = std::find(keys.begin(), keys.end(), key);
  return at == keys.end() ? nullptr : &items[static_cast<std::size_t>(at - keys.begin())];
}

Value* Value::find(std::string_view key) {
  return const_cast<Value*>(std::as_const(*this).find(key));
}

std::string quote(std::string_view text, std::size_t longest) {
  std::string out = "\"";
  for (const char c : text.substr(0, longest)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", c);
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else
      out += c;
  }
  return out + (text.size() > longest ? "...\"" : "\"");
}

std::string describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::null:
      return "nothing";
    case Value::Kind::scalar:
      return (value.quoted ? "the string " : "") + quote(value.text, 60);
    case Value::Kind::list:
      return "a list";
    case Value::Kind::map:
      return "a map of keys";
  }
  return "?";
}

}  // namespace convoy
