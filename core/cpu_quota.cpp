#include "core/cpu_quota.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "core/number.h"

namespace convoy {
namespace {

std::optional<std::int64_t> positive(std::string_view text) {
  return integer_in<std::int64_t>(text, 1, std::numeric_limits<std::int64_t>::max());
}

std::string first_line(const char* path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

}  // namespace

std::optional<int> cores_of_quota(std::string_view cpu_max) {
  const std::size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto quota = positive(cpu_max.substr(0, space)), period = positive(cpu_max.substr(space + 1));
  if (!quota || !period) return std::nullopt;
  return static_cast<int>(std::clamp<std::int64_t>(*quota / *period, 1, 1 << 16));
}

std::optional<int> quota_cores() {
  if (const std::string v2 = first_line("/sys/fs/cgroup/cpu.max"); !v2.empty()) return cores_of_quota(v2);
  return cores_of_quota(first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + " " +
                        first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
}

}  // namespace convoy
