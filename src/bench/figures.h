// How benchmarks condense and print what they measured.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace convoy {

struct Ceilings;

/// Of an even number of values, the upper of the two in the middle.
double median(std::vector<double> values);
double geometric_mean(const std::vector<double>& values);

/// Three digits and the prefix of a thousand: "86.4 G".
std::string human_rate(double per_second);

/// What was reached of a limit that was measured, too; nothing above 1: then the limit is wrong.
std::optional<double> share_of_limit(double limit_seconds, double seconds);
/// "87 %", or "-" where there is none.
std::string percent_text(const std::optional<double>& share);
/// What to say where a share is missing.
inline constexpr const char* limit_is_wrong =
    "a share of more than 100 % is not shown: the limit was measured while something else kept the machine "
    "busy, or the data stay in a cache; measure again on an idle machine";

nlohmann::ordered_json to_json(const std::optional<double>& value);
nlohmann::ordered_json to_json(const Ceilings& ceilings);
/// Writes the report, indented, and nothing where `path` is empty.
void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report);

}  // namespace convoy
