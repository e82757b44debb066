// How benchmarks condense and print what they measured.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace convoy {

struct Ceilings;

/// Of an even number of values, the upper of the two in the middle.
double median(std::vector<double> values);
double geometric_mean(const std::vector<double>& values);

/// Three digits and the prefix of a thousand: "86.4 G".
std::string human_rate(double per_second);

nlohmann::ordered_json to_json(const Ceilings& ceilings);
/// Writes the report, indented, and nothing where `path` is empty.
void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report);

}  // namespace convoy
