#include "src/config/config.h"

#include <cctype>
#include <filesystem>

#include "core/regular_file.h"
#include "src/config/fine_tuning.h"
#include "src/config/named_model.h"
#include "src/config/overrides.h"
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

/// For an unknown key: the one that may be meant, of this section (`valid`) or of another one.
std::string nearest_key(const std::string& key, const std::vector<std::string>& valid,
                        const std::string& section) {
  if (std::find(valid.begin(), valid.end(), key_for(key, valid)) != valid.end())
    return did_you_mean(key, valid);
  const bool in_list = section.find('[') != std::string::npos;
  const std::string elsewhere = in_list ? "" : key_for(key, schema_keys());
  if (!elsewhere.empty()) return fmt::format(" (did you mean {}?)", quote(elsewhere));
  const std::string near = did_you_mean(key, valid);
  return near.empty() ? fmt::format("; expected one of {}", fmt::join(valid, ", ")) : near;
}

std::string configuration_in(const std::string& path) {
  constexpr std::uint64_t most = 1 << 20;
  try {
    return read_named_file(path, most);
  } catch (const Error& error) {
    fail_usage("{}", error.what());
  }
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
      if (key == "<<") at.refuse("merge keys (<<) are not supported; use a plain alias (*name)");
      at.refuse("unknown key{}", nearest_key(key, valid, place.path));
    });
  }
}

Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides) {
  std::vector<std::string> notes;
  return parse_config(text, name, overrides, notes);
}

Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides, std::vector<std::string>& notes,
                    const FindData& find_data) {
  Value root = parse_yaml(text, name);
  if (root.kind == Value::Kind::null) fail_usage("{}: empty; expected a configuration", name);
  if (root.kind != Value::Kind::map)
    fail_usage("{}: expected `key: value` lines, got {}", name, describe(root));
  // What changes a layer comes after the layers that a name stands for.
  const auto of_layers = [](const std::string& assignment) { return assignment.find("model.layers") <= 1; };
  for (const std::string& assignment : overrides)
    if (!of_layers(assignment)) apply_override(root, assignment);
  if (find_data) fill_in_data(root, find_data, notes);
  const bool has_name = expand_named_model(root);
  if (has_name && root.find("model")->find("init") != nullptr) fill_in_fine_tuning(root, notes);
  for (const std::string& assignment : overrides)
    if (of_layers(assignment)) apply_override(root, assignment);
  for (std::string& note : drop_replaced(root)) notes.push_back(std::move(note));
  Config config;
  config.data.mark.source =
      std::make_shared<const std::string>(name);  // stands when the file says nothing about the data
  read_table(config_table(), config, Place{root, ""});
  config.data.input = config.model.input;
  return config;
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::vector<std::string> notes;
  return load_config(path, overrides, notes);
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides,
                   std::vector<std::string>& notes, const FindData& find_data) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) fail_usage("{}: no such file", path);
  if (std::filesystem::is_directory(status)) {
    const std::filesystem::path inner = std::filesystem::path(path) / "config.yaml";
    if (std::filesystem::exists(inner, error))
      fail_usage("{}: a run folder; give its configuration, {} (with `--resume auto` to go on with the run)",
                 path, inner.string());
    fail_usage("{}: a directory; expected a YAML file", path);
  }
  if (path.ends_with(".safetensors"))
    fail_usage("{}: a file of weights; give a configuration (YAML), e.g. config.yaml of its run", path);
  return parse_config(configuration_in(path), path, overrides, notes, find_data);
}

std::string to_yaml(const Config& config) {
  return write_yaml(write_table(config_table(), config));
}

}  // namespace convoy
