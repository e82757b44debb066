// From Value to YAML text.
#include <algorithm>

#include "src/config/value.h"

namespace convoy {
namespace {

constexpr std::size_t line_length = 100;

/// Scalars, or one map or list of them: what reads well on one line.
bool is_flat(const Value& value) {
  return std::all_of(value.items.begin(), value.items.end(), [](const Value& item) {
    return item.kind == Value::Kind::scalar ||
           (item.kind == Value::Kind::list &&
            std::all_of(item.items.begin(), item.items.end(),
                        [](const Value& inner) { return inner.kind == Value::Kind::scalar; }));
  });
}

void write_block(const Value& value, std::size_t indent, std::string& out);

/// Writes what follows "key:" or "-": the rest of the line, or an indented block below it.
void write_after(const Value& value, std::size_t indent, std::string& out) {
  const std::string flow = write_flow(value);
  const bool fits = indent + flow.size() < line_length;
  if (value.kind == Value::Kind::scalar || value.items.empty() || (is_flat(value) && fits)) {
    out += " " + flow + "\n";
  } else {
    out += "\n";
    write_block(value, indent + 2, out);
  }
}

void write_block(const Value& value, std::size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    const Value& item = value.items[i];
    out += margin;
    if (value.kind == Value::Kind::map) {
      out += value.keys[i] + ":";
      write_after(item, indent, out);
    } else if (item.kind == Value::Kind::map && !item.keys.empty() &&
               (item.keys.size() == 1 || !is_flat(item))) {  // - conv: {...}
      for (std::size_t k = 0; k < item.keys.size(); ++k) {
        out += (k == 0 ? "- " : margin + "  ") + item.keys[k] + ":";
        write_after(item.items[k], indent + 2, out);
      }
    } else {
      out += "-";
      write_after(item, indent, out);
    }
  }
}

}  // namespace

std::string write_flow(const Value& value) {
  if (value.kind == Value::Kind::null) return "null";
  if (value.kind == Value::Kind::scalar) return value.quoted ? quote(value.text) : value.text;
  const bool map = value.kind == Value::Kind::map;
  std::string out = map ? "{" : "[";
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) out += ", ";
    if (map) out += value.keys[i] + ": ";
    out += write_flow(value.items[i]);
  }
  return out + (map ? "}" : "]");
}

std::string write_yaml(const Value& map) {
  std::string out;
  write_block(map, 0, out);
  return out;
}

}  // namespace convoy
