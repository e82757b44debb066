#include "src/config/codec.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace convoy {
namespace {

/// Levenshtein's distance: insertions, deletions and replacements that lead from a to b.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

/// Whether YAML reads the text back as it stands, outside quotes.
bool is_plain(const std::string& text) {
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '/';
  };
  return !text.empty() && word(text[0]) && text != "null" && text != "Null" && text != "NULL" &&
         std::all_of(text.begin(), text.end(), [&](char c) { return word(c) || c == '.' || c == '-'; });
}

}  // namespace

std::string did_you_mean(const std::string& text, const std::vector<std::string>& words) {
  if (text.size() > 64) return "";
  std::size_t best = std::max<std::size_t>(2, text.size() / 2) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& word : words) {
    const std::size_t distance = edit_distance(text, word);
    if (distance < best && distance < word.size()) {
      best = distance;
      nearest = &word;
    }
  }
  return nearest == nullptr ? "" : fmt::format(" (did you mean {}?)", quote(*nearest));
}

std::string Interval::text() const {
  if (std::isinf(low) && std::isinf(high)) return "";
  if (std::isinf(high)) return fmt::format(" {} {}", low_open ? ">" : ">=", low);
  return fmt::format(" in {}{}, {}{}", low_open ? "(" : "[", low, high, high_open ? ")" : "]");
}

Codec<bool> boolean() {
  return {"true | false",
          [](const Place& place) {
            const Value& value = place.value;
            if (value.kind == Value::Kind::scalar && !value.quoted) {
              if (value.text == "true") return true;
              if (value.text == "false") return false;
            }
            place.refuse("expected true or false, got {}", describe(value));
          },
          [](const bool& value) { return Value::scalar(value ? "true" : "false"); }};
}

Codec<std::string> string() {
  return {"text",
          [](const Place& place) {
            if (place.value.kind != Value::Kind::scalar || place.value.text.empty()) {
              place.refuse("expected text, got {}", describe(place.value));
            }
            return place.value.text;
          },
          [](const std::string& text) -> std::optional<Value> {
            if (text.empty()) return std::nullopt;
            return Value::scalar(text, !is_plain(text));
          }};
}

}  // namespace convoy
