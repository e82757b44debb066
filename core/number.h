// Numbers of texts that others wrote: files' metadata, variables of the environment.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace convoy {

/// The decimal integer that `text` is as a whole, where it is from `low` to `high`.
template <class Integer>
std::optional<Integer> integer_in(std::string_view text, Integer low, Integer high) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value >= low && value <= high ? std::optional(value) : std::nullopt;
}

}  // namespace convoy
