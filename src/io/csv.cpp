#include "src/io/csv.h"

#include <cstdlib>
#include <cstring>

#include "core/printable.h"

namespace convoy {

namespace {

/// "-1" and "+2e3", which a spreadsheet may take as such.
bool is_number(const std::string& text) {
  char* end = nullptr;
  static_cast<void>(std::strtod(text.c_str(), &end));
  return end != text.c_str() && *end == '\0';
}

}  // namespace

std::string csv_field(const std::string& foreign) {
  std::string text = printable(foreign);
  if (!text.empty() && std::strchr("=+-@", text[0]) != nullptr && !is_number(text)) text.insert(0, 1, '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace convoy
