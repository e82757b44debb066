#include "src/config/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace convoy {
namespace {

/// Whether both have a part between dots that is the same and no number.
bool share_a_part(const std::string& a, const std::string& b) {
  const auto parts = [](const std::string& text) {
    std::vector<std::string> out{""};
    for (const char c : text) {
      if (c == '.')
        out.emplace_back();
      else if (c != '*' && c != '?')
        out.back() += c;
    }
    return out;
  };
  const std::vector<std::string> all = parts(b);
  for (const std::string& part : parts(a)) {
    if (part.find_first_not_of("0123456789") == std::string::npos || part == "weight" || part == "bias")
      continue;
    if (std::find(all.begin(), all.end(), part) != all.end()) return true;
  }
  return false;
}

}  // namespace

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

std::vector<std::string> nearest_of(const std::string& text, const std::vector<std::string>& words,
                                    std::size_t most) {
  constexpr std::size_t longest = 200;  // of a name that is looked at
  std::vector<std::pair<std::pair<bool, std::size_t>, const std::string*>> ranked;
  for (const std::string& word : words)
    ranked.push_back(
        {{!share_a_part(text, word), edit_distance(text.substr(0, longest), word.substr(0, longest))},
         &word});
  const std::size_t count = std::min(most, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count), ranked.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
                    });
  std::vector<std::string> nearest;
  for (std::size_t i = 0; i < count; ++i) nearest.push_back(*ranked[i].second);
  return nearest;
}

}  // namespace convoy
