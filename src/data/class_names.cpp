#include "src/data/class_names.h"

#include <algorithm>
#include <string_view>

#include "core/printable.h"

namespace convoy {
namespace {

using Names = std::vector<std::string>;

/// Accents and vowels that Unicode keeps apart from the letter that they belong to.
bool is_combining(char32_t code) {
  return (code >= 0x300 && code <= 0x36f) || (code >= 0x1160 && code <= 0x11ff) || code == 0x3099 ||
         code == 0x309a;
}

/// A character for each that is seen; one that is not ASCII becomes '?'.
std::string outline(const std::string& name) {
  std::string seen;
  for_each_character(name, [&](std::string_view bytes, char32_t code) {
    if (!is_combining(code)) seen += code < 0x80 ? bytes : "?";
  });
  return seen;
}

/// Names that differ, but perhaps not to the eye: in characters alone that are not ASCII.
bool look_alike(const std::string& a, const std::string& b) {
  const std::string first = outline(a), second = outline(b);
  const auto is_ascii = [](const std::string& name) {
    return std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  };
  return a != b && !(is_ascii(a) && is_ascii(b)) &&
         std::equal(first.begin(), first.end(), second.begin(), second.end(),
                    [](char x, char y) { return x == y || x == '?' || y == '?'; });
}

/// With the number of each character that is not ASCII in its place.
std::string with_numbers(const std::string& name) {
  std::string text;
  for_each_character(name, [&](std::string_view bytes, char32_t code) {
    text += code < 0x80            ? std::string(bytes)
            : code == no_character ? fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]))
                                   : fmt::format("\\u{:04x}", static_cast<unsigned>(code));
  });
  return text;
}

/// Those of `names` that `others` lacks.
Names missing_in(const Names& names, const Names& others) {
  Names sorted = others, missing;
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& name : names)
    if (!std::binary_search(sorted.begin(), sorted.end(), name)) missing.push_back(name);
  return missing;
}

constexpr std::size_t most_listed = 5;

/// "class 0 is b here and a there, class 1 is a here and b there and so on"
std::string exchanged(const Names& there, const Names& here) {
  constexpr std::size_t most = 3;
  Names found;
  for (std::size_t label = 0; label < std::min(there.size(), here.size()) && found.size() <= most; ++label)
    if (there[label] != here[label])
      found.push_back(fmt::format("class {} is {} here and {} there", label,
                                  list_of_names({here[label]}, {there[label]}),
                                  list_of_names({there[label]}, {here[label]})));
  const bool more = found.size() > most;
  if (more) found.pop_back();
  return fmt::format("{}{}", fmt::join(found, ", "), more ? " and so on" : "");
}

}  // namespace

std::string list_of_names(const Names& names, const Names& others) {
  constexpr std::size_t longest = 255;  // of a folder's name; a file may hold any
  Names shown(names.begin(),
              names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), most_listed)));
  for (std::string& name : shown) {
    const auto is_like_it = [&](const std::string& other) { return look_alike(name, other); };
    if (name.size() > longest)
      name = name.substr(0, longest) + "...";
    else if (std::any_of(others.begin(), others.end(), is_like_it))
      name += fmt::format(" ({})", with_numbers(name));
  }
  const std::size_t more = names.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

std::string class_difference(const Names& there, const Names& here) {
  if (there.empty() || here.empty() || there == here) return {};
  if (std::max(there.size(), here.size()) <= most_listed)
    return fmt::format("its classes are {} here and {} there", list_of_names(here, there),
                       list_of_names(there, here));
  const Names only_here = missing_in(here, there), only_there = missing_in(there, here);
  if (only_here.empty() && only_there.empty())
    return "its classes are in another order: " + exchanged(there, here);
  std::string text = there.size() == here.size()
                         ? "its classes are others: " + exchanged(there, here)
                         : fmt::format("it has {} classes here and {} there", here.size(), there.size());
  if (!only_here.empty()) text += fmt::format("; only here: {}", list_of_names(only_here, only_there));
  if (!only_there.empty()) text += fmt::format("; only there: {}", list_of_names(only_there, only_here));
  return text;
}

}  // namespace convoy
