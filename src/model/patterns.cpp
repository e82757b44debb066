#include "src/model/patterns.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "src/config/nearest.h"

namespace convoy {
namespace {

/// Goes back to the last `*` alone, so that it takes no more than the product of both lengths.
bool matches_whole(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0;
  std::size_t star = std::string_view::npos, after_star = 0;  // of the last *, and how far it reaches
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++after_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

bool matches(const std::string& pattern, const std::string& name) {
  return matches_whole(pattern, name) || matches_whole(pattern + ".*", name);
}

std::vector<bool> matching(const Graph& graph, const std::string& pattern, const std::string& where) {
  std::vector<bool> found;
  std::vector<std::string> names;
  for (const Parameter& parameter : graph.parameters) {
    found.push_back(matches(pattern, parameter.name));
    names.push_back(parameter.name);
  }
  if (std::find(found.begin(), found.end(), true) == found.end())
    fail_usage("{}: no parameter is called {}; the nearest are {}", where, pattern,
               fmt::join(nearest_of(pattern, names), ", "));
  return found;
}

}  // namespace convoy
