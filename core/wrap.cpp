#include "core/wrap.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace convoy {
namespace {

/// Characters, not bytes, of UTF-8.
std::size_t length_of(const std::string& word) {
  return static_cast<std::size_t>(
      std::count_if(word.begin(), word.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t width, std::size_t at, std::size_t indent) {
  std::string out;
  bool first = true;  // of its line
  const auto break_line = [&] {
    out += '\n';
    out.append(indent, ' ');
    at = indent;
    first = true;
  };
  for (std::size_t begin = 0; begin < text.size();) {
    if (text[begin] == '\n') {
      break_line();
      ++begin;
      continue;
    }
    if (text[begin] == ' ') {
      ++begin;
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const std::size_t length = length_of(word);
    if (!first && at + 1 + length > width) break_line();
    if (!first) out += ' ';
    out += word;
    at += length + (first ? 0 : 1);
    first = false;
    begin = end;
  }
  return out;
}

std::size_t output_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return 80;
  return std::clamp<std::size_t>(size.ws_col, 60, 100);
}

}  // namespace convoy
