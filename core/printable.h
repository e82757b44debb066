// Foreign text as it may be printed: names of files, classes, tensors and hosts, keys, what other programs
// say.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace convoy {

/// `text` so that it can neither steer a terminal nor look like other text: control bytes, line breaks and
/// what is not UTF-8 become \xNN; invisible characters and those that turn the direction of writing become
/// \u....; all other UTF-8 stays. Twice is the same as once.
std::string printable(std::string_view text);

/// The same for a message whose line breaks are the program's own: these stay.
std::string printable_lines(std::string_view text);

/// Whether a character shows as itself: neither steers a terminal nor is invisible nor turns the direction.
bool is_printable(char32_t code);

constexpr char32_t no_character = 0xffffffff;  ///< of a byte that is no part of UTF-8; not printable

/// A character at the beginning of UTF-8 text, of 1 to 4 bytes.
struct Character {
  char32_t code = no_character;
  std::size_t bytes = 1;
};
Character first_character(std::string_view text);

/// Calls function(bytes, code) for one character after the other.
template <class Function>
void for_each_character(std::string_view text, Function function) {
  while (!text.empty()) {
    const Character character = first_character(text);
    function(text.substr(0, character.bytes), character.code);
    text.remove_prefix(character.bytes);
  }
}

/// Text in printable form, lists of text too; anything else as it is.
template <class T>
decltype(auto) to_printable(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>)
    return printable(value);
  else
    return (value);
}
template <class Iterator, class Sentinel>
decltype(auto) to_printable(const fmt::join_view<Iterator, Sentinel, char>& list) {
  if constexpr (std::is_convertible_v<decltype(*std::declval<Iterator>()), std::string_view>)
    return printable(fmt::vformat("{}", fmt::make_format_args(list)));
  else
    return (list);
}

/// As fmt::format: the line breaks of `format` are the program's, the arguments are foreign.
template <class... Args>
std::string format_printable(fmt::format_string<Args...> format, Args&&... args) {
  const auto write = [&](const auto&... shown) {
    return fmt::vformat(format, fmt::make_format_args(shown...));
  };
  return write(to_printable(args)...);
}

/// The same to standard output. Throws std::system_error where that cannot be written.
template <class... Args>
void print_printable(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}", format_printable(format, std::forward<Args>(args)...));
}

}  // namespace convoy
