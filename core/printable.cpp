#include "core/printable.h"

namespace convoy {
namespace {

std::string with_escapes(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::string_view bytes, char32_t code) {
    if (is_printable(code) || (keep_lines && code == '\n'))
      out += bytes;
    else if (bytes.size() == 1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    else
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
  });
  return out;
}

}  // namespace

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};  // of so many bytes
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least[bytes] || is_surrogate || code > 0x10ffff ? Character{} : Character{code, bytes};
}

bool is_printable(char32_t code) {
  struct Range {
    char32_t first, last;
  };
  // Control characters, soft hyphen, marks of direction, line separators, and what has no width; joiners
  // within words (200c, 200d) are not among them.
  constexpr Range hidden[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
                              {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
                              {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
  for (const Range& range : hidden)
    if (code >= range.first && code <= range.last) return false;
  return code != no_character;
}

std::string printable(std::string_view text) {
  return with_escapes(text, false);
}

std::string printable_lines(std::string_view text) {
  return with_escapes(text, true);
}

}  // namespace convoy
