#include "src/cli/launch_limit.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr double shortest = 0.5, longest = 86'400;  // what the configuration admits

/// The configuration that a word of the command line stands for; empty where it is none.
fs::path config_of(const std::string& word) {
  std::error_code error;
  if (const fs::path file = word; fs::is_regular_file(file, error))
    return file.extension() == ".yaml" || file.extension() == ".yml" ? file : fs::path{};
  const fs::path of_run = fs::path(word) / "config.yaml";
  return fs::is_regular_file(of_run, error) ? of_run : fs::path{};
}

}  // namespace

double launch_limit(int argc, char** argv) {
  double limit = DistributedConfig{}.timeout;
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    for (const std::string& word : words) {
      const fs::path file = config_of(word);
      if (file.empty()) continue;
      limit = load_config(file.string(), {}).distributed.timeout;
      break;
    }
    for (const std::string& word : words) {
      constexpr std::string_view key = "distributed.timeout=";
      if (word.starts_with(key)) limit = std::stod(word.substr(key.size()));
    }
  } catch (const std::exception&) {
    return limit;
  }
  return limit >= shortest && limit <= longest ? limit : DistributedConfig{}.timeout;
}

}  // namespace convoy
