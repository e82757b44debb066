#include "src/io/json_reader.h"

#include <set>
#include <vector>

#include "core/error.h"

namespace convoy {

nlohmann::json read_json(std::string_view text, const std::string& name, int deepest) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys(static_cast<std::size_t>(deepest) + 1);  // of the objects under way
  const auto look_at = [&](int depth, Event event, nlohmann::json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= deepest) fail("{} is nested too deeply", name);
      keys[level + 1].clear();
    } else if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys[level].insert(key).second) fail("{} has {} twice", name, key.substr(0, 200));
    }
    return true;
  };
  if (text.find('\0') != std::string_view::npos)
    fail("{} is no JSON: it has zeros", name);  // or it would end there
  try {
    return nlohmann::json::parse(text, look_at);
  } catch (const nlohmann::json::exception& error) {  // which quotes what it read
    fail("{} is no JSON: {}", name, std::string(error.what()).substr(0, 200));
  }
}

nlohmann::json read_json_line(std::string_view line) {
  constexpr int deepest = 8;
  try {
    return read_json(line, "a line", deepest);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace convoy
