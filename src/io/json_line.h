// JSON as this program writes it where one line is wanted.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace convoy {

/// Without line breaks, of an nlohmann::json or ordered_json. What is not UTF-8, as names of files may be, is
/// replaced rather than refused.
template <class Json>
std::string to_json_line(const Json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace convoy
