// How one value of a given type stands in YAML: what it accepts, how it is read, how it is written back.
#pragma once

#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/config/hints.h"
#include "src/config/value.h"

namespace convoy {

/// A value together with the path of keys that led to it; where messages come from.
struct Place {
  const Value& value;
  std::string path;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string message = format_printable(format, std::forward<Args>(args)...);
    fail_usage("{}: {}{}{}", value.mark.text(), path, path.empty() ? "" : ": ", message);
  }
  /// The value of `key`; where the key is absent, this value under that key's path.
  Place at(const std::string& key) const {
    const Value* found = value.find(key);
    return {found != nullptr ? *found : value, path.empty() ? key : path + "." + key};
  }
  Place item(std::size_t i) const { return {value.items[i], fmt::format("{}[{}]", path, i)}; }
};

/// Gathers errors, so that a file with three mistakes is told all three; of very many, the first.
class Problems {
 public:
  template <class Work>
  void attempt(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      add(error.what());
    }
  }
  void add(const std::string& message) {
    if (++count_ <= most_) text_ += (text_.empty() ? "" : "\n") + message;
  }
  bool empty() const { return count_ == 0; }
  void raise() const {
    if (empty()) return;
    throw Error(text_ + (count_ > most_ ? fmt::format("\nand {} more", count_ - most_) : ""),
                ExitCode::usage);
  }

 private:
  static constexpr std::size_t most_ = 20;
  std::string text_;
  std::size_t count_ = 0;
};

/// Of numbers, each end closed, open or at infinity.
struct Interval {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
  bool contains(double x) const {
    return (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high);
  }
  std::string text() const;  ///< " >= 1", " in [0, 1)"
};
constexpr Interval at_least(double low) {
  return {.low = low};
}
constexpr Interval above(double low) {
  return {.low = low, .low_open = true};
}
constexpr Interval between(double low, double high) {
  return {.low = low, .high = high};
}
constexpr Interval half_open(double low, double high) {
  return {.low = low, .high = high, .high_open = true};
}

/// As std::from_chars, of a number as YAML 1.2 writes it: it may have a plus sign, and an integer may be 0x1f
/// or 0o17.
template <class T>
std::from_chars_result read_number(std::string_view text, T& x) {
  const char* const end = text.data() + text.size();
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  if constexpr (std::is_integral_v<T>) {
    const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 10;
    if (base != 10) text.remove_prefix(2);
    if (base == 10 || !text.starts_with('-')) return std::from_chars(text.data(), end, x, base);
    return {text.data(), std::errc::invalid_argument};
  } else {
    return std::from_chars(text.data(), end, x);
  }
}

template <class T>
struct Codec {
  std::string type;  ///< what is expected, for messages and the help: "integer >= 1"
  std::function<T(const Place&)> read;
  std::function<std::optional<Value>(const T&)> write;  ///< nothing: the key is left out
};

/// Integers and reals: plain, finite, whole text, in range.
template <class T>
Codec<T> number(Interval range = {}) {
  const std::string type = (std::is_integral_v<T> ? "integer" : "number") + range.text();
  return {type,
          [=](const Place& place) {
            const Value& value = place.value;
            T x{};
            const char* const end = value.text.data() + value.text.size();
            const auto [stop, error] = read_number(value.text, x);
            const bool whole = value.kind == Value::Kind::scalar && !value.quoted && stop == end;
            if (whole && error == std::errc::result_out_of_range) {
              place.refuse("{} does not fit; expected {}", describe(value), type);
            }
            if (!whole || error != std::errc{} || !std::isfinite(static_cast<double>(x))) {
              place.refuse("expected {}, got {}", type, describe(value));
            }
            if (!range.contains(static_cast<double>(x))) {
              place.refuse("out of range: expected {}, got {}", type, value.text);
            }
            return x;
          },
          [](const T& x) { return Value::scalar(fmt::format("{}", x)); }};
}

Codec<bool> boolean();
Codec<std::string> string();

template <class E>
struct Word {
  const char* text;
  E value;
};

/// One of a few words.
template <class E>
Codec<E> choice(std::vector<Word<E>> words) {
  std::vector<std::string> texts;
  for (const Word<E>& word : words) texts.emplace_back(word.text);
  const std::string type = fmt::format("{}", fmt::join(texts, " | "));
  return {type,
          [=](const Place& place) {
            const std::string& text = place.value.text;
            if (place.value.kind == Value::Kind::scalar) {
              for (const Word<E>& word : words) {
                if (text == word.text) return word.value;
              }
            }
            place.refuse("expected {}, got {}{}", type, describe(place.value), did_you_mean(text, texts));
          },
          [=](const E& value) -> std::optional<Value> {
            for (const Word<E>& word : words) {
              if (value == word.value) return Value::scalar(word.text);
            }
            return std::nullopt;
          }};
}

/// `[a, b]`, or `a` alone for a list of one. Empty lists are refused on reading and left out on writing.
template <class T>
Codec<std::vector<T>> one_or_list(const Codec<T>& element, std::size_t fewest, std::size_t most) {
  std::string type = element.type;
  const std::string count = fewest == most ? fmt::to_string(most) : fmt::format("{} to {}", fewest, most);
  if (fewest > 1)
    type = fmt::format("list of {}: {}", count, type);
  else
    type += ", or a list";
  return {type,
          [=](const Place& place) {
            std::vector<T> values;
            if (place.value.kind != Value::Kind::list) {
              if (fewest > 1) place.refuse("expected a {}, got {}", type, describe(place.value));
              return std::vector<T>{element.read(place)};
            }
            const std::size_t given = place.value.items.size();
            if (given < fewest || given > most) place.refuse("expected {} values, got {}", count, given);
            for (std::size_t i = 0; i < given; ++i) values.push_back(element.read(place.item(i)));
            return values;
          },
          [=](const std::vector<T>& values) -> std::optional<Value> {
            if (values.empty()) return std::nullopt;
            if (values.size() == 1 && fewest == 1) return element.write(values[0]);
            Value list = Value::list({});
            for (const T& value : values) list.items.push_back(element.write(value).value());
            return list;
          }};
}

}  // namespace convoy
