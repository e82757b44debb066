#include "comm/same.h"

#include <algorithm>
#include <map>

#include "comm/agree.h"

namespace convoy {

std::vector<int> odd_ones_out(const std::vector<std::string>& values) {
  std::map<std::string, int> frequency;
  for (const std::string& value : values) ++frequency[value];
  const auto usual = std::max_element(values.begin(), values.end(), [&](const auto& a, const auto& b) {
    return frequency[a] < frequency[b];
  });
  std::vector<int> odd;
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    if (values[rank] != *usual) odd.push_back(static_cast<int>(rank));
  }
  return odd;
}

std::string difference(const std::vector<std::string>& values, const std::vector<std::string>& hosts) {
  const std::vector<int> odd = odd_ones_out(values);
  if (odd.empty()) return {};
  constexpr std::size_t named = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(odd.size(), named); ++i) {
    const auto rank = static_cast<std::size_t>(odd[i]);
    text += fmt::format("rank {} (host {}) has {}, ", rank, hosts[rank], values[rank]);
  }
  if (odd.size() > named) text += fmt::format("{} more have others, ", odd.size() - named);
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    if (std::find(odd.begin(), odd.end(), static_cast<int>(rank)) != odd.end()) continue;
    const bool alone = odd.size() + 1 == values.size();
    return text + (alone ? fmt::format("rank {} (host {}) has {}", rank, hosts[rank], values[rank])
                         : fmt::format("the others have {}", values[rank]));
  }
  return text;
}

bool is_same(const RankEnvironment& ranks, const std::string& mine) {
  return ranks.first_with(ranks.text_of(0, mine) != mine) == ranks.size();
}

void require_same(const RankEnvironment& ranks, const std::string& what, const std::string& mine) {
  if (is_same(ranks, mine)) return;
  const std::vector<std::string> values = ranks.gather(mine), hosts = ranks.gather(ranks.host());
  const auto culprit = static_cast<std::size_t>(odd_ones_out(values).at(0));
  throw AgreedError(format_printable("{} differ: {}", what, difference(values, hosts)), ExitCode::failure,
                    static_cast<int>(culprit), hosts[culprit]);
}

}  // namespace convoy
