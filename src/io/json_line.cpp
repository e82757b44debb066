#include "src/io/json_line.h"

#include "core/printable.h"

namespace convoy {

std::string with_json_escapes(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for_each_character(json, [&](std::string_view bytes, char32_t code) {
    if (is_printable(code) || bytes == "\n")
      out += bytes;
    else if (code < 0x10000)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
    else  // two of UTF-16
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd7c0 + static_cast<unsigned>(code >> 10U),
                         0xdc00 + static_cast<unsigned>(code & 0x3ffU));
  });
  return out;
}

}  // namespace convoy
