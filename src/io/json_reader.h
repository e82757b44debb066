// JSON that others may have written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace convoy {

/// Reads JSON whose objects and arrays lie in each other at most `deepest` deep (1: one of plain values), so
/// that nobody who walks it runs out of stack, and whose objects have no key twice. Throws Error that begins
/// with `name`, which is followed by "is no JSON" or the like.
nlohmann::json read_json(std::string_view text, const std::string& name, int deepest);

/// A line of a log, such as metrics.jsonl: null where read_json() would throw.
nlohmann::json read_json_line(std::string_view line);

}  // namespace convoy
