#include "src/config/config.h"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "src/config/schema.h"

namespace convoy {

namespace {

/// A key as part of a path; quoted where it is no plain word.
std::string in_path(const std::string& key) {
  const bool plain = std::all_of(key.begin(), key.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  });
  return plain && !key.empty() && key.size() <= 60 ? key : quote(key, 60);
}

}  // namespace

void check_keys(const Place& place, const std::vector<std::string>& valid, Problems& problems) {
  const Value& map = place.value;
  for (std::size_t i = 0; i < map.keys.size(); ++i) {
    const std::string& key = map.keys[i];
    const Place at{map.items[i], (place.path.empty() ? "" : place.path + ".") + in_path(key)};
    problems.attempt([&] {
      const Value& first = *map.find(key);
      if (&first != &map.items[i]) at.refuse("given twice, first at {}", first.mark.text());
      if (std::find(valid.begin(), valid.end(), key) != valid.end()) return;
      if (key == "<<") at.refuse("merge keys are not supported; a plain alias (*name) is");
      const std::string near = did_you_mean(key, valid);
      at.refuse("unknown key{}",
                near.empty() ? fmt::format("; expected one of {}", fmt::join(valid, ", ")) : near);
    });
  }
}

Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides) {
  Value root = parse_yaml(text, name);
  if (root.kind == Value::Kind::null) fail_usage("{}: empty; expected a configuration", name);
  if (root.kind != Value::Kind::map)
    fail_usage("{}: expected `key: value` lines, got {}", name, describe(root));
  for (const std::string& assignment : overrides) apply_override(root, assignment);
  Config config;
  config.data.mark.source =
      std::make_shared<const std::string>(name);  // stands when the file says nothing about the data
  read_table(config_table(), config, Place{root, ""});
  config.data.input = config.model.input;
  return config;
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) fail_usage("{}: no such file", path);
  if (std::filesystem::is_directory(status)) fail_usage("{}: a directory; expected a YAML file", path);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  // An empty file sets failbit on `text`; only the file itself tells whether it could be read.
  if (!file) fail_usage("{}: cannot be read", path);
  return parse_config(text.str(), path, overrides);
}

std::string to_yaml(const Config& config) {
  return write_yaml(write_table(config_table(), config));
}

}  // namespace convoy
