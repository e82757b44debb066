#include "src/bench/figures.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "src/bench/ceilings.h"
#include "src/io/atomic_file.h"

namespace convoy {

double median(std::vector<double> values) {
  check(!values.empty(), "the median of nothing");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double geometric_mean(const std::vector<double>& values) {
  check(!values.empty(), "the mean of nothing");
  double logarithms = 0;
  for (const double value : values) logarithms += std::log(value);
  return std::exp(logarithms / static_cast<double>(values.size()));
}

std::string human_rate(double per_second) {
  const char* const prefixes[] = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  for (; per_second >= 999.5 && prefix + 1 < std::size(prefixes); ++prefix) per_second /= 1000;
  const int digits = per_second < 9.995 ? 2 : per_second < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", per_second, digits, prefixes[prefix]);
}

std::optional<double> share_of_limit(double limit_seconds, double seconds) {
  return limit_seconds <= seconds ? std::optional(limit_seconds / seconds) : std::nullopt;
}

std::string percent_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.0f} %", 100 * *share) : "-";
}

nlohmann::ordered_json to_json(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

nlohmann::ordered_json to_json(const Ceilings& ceilings) {
  return {{"flops_per_second", ceilings.flops_per_second}, {"bytes_per_second", ceilings.bytes_per_second}};
}

void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report) {
  if (!path.empty()) write_file_atomically(path, report.dump(2) + "\n");
}

}  // namespace convoy
