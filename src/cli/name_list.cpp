#include "src/cli/name_list.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.h"

namespace convoy {

std::vector<std::string> read_names(std::istream& list, const std::string& origin) {
  constexpr std::size_t most_bytes = std::size_t{256} << 20;
  std::string text;
  std::array<char, 1 << 16> piece{};
  while (list.read(piece.data(), piece.size()), list.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(list.gcount()));
    if (text.size() > most_bytes) fail("{}: more than 256 MiB of names", origin);
  }
  std::string_view rest = text;
  if (rest.starts_with("\xFF\xFE") || rest.starts_with("\xFE\xFF"))
    fail("{}: a list in UTF-16; write it in UTF-8 (PowerShell: Out-File -Encoding utf8)", origin);
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  const char end = rest.find('\0') == std::string_view::npos ? '\n' : '\0';
  std::vector<std::string> names;
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find(end));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (end == '\n' && name.ends_with('\r')) name.remove_suffix(1);
    if (end == '\0' && rest.empty() && (name == "\n" || name == "\r\n")) continue;  // after the last name
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

}  // namespace convoy
