#include "src/study/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sstream>

#include "comm/cores.h"
#include "core/error.h"
#include "core/printable.h"
#include "core/regular_file.h"

namespace convoy {
namespace {

/// What stands behind the first line that begins with `key`, without `around`; empty: nowhere.
std::string value_in(const char* file, const std::string& key, const char* around) {
  std::string text;
  try {
    text = read_file(file);
  } catch (const Error&) {
    return {};
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t begin = line.find_first_not_of(around, key.size());
    if (begin == std::string::npos) return {};
    return printable(line.substr(begin, line.find_last_not_of(around) - begin + 1));
  }
  return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_facts() {
  std::vector<std::pair<std::string, std::string>> facts;
  const std::string model = value_in("/proc/cpuinfo", "model name", "\t :");
  facts.emplace_back("processor", model.empty() ? "unknown" : model);
  facts.emplace_back("cores", fmt::format("{}", bound_cores().size()));
  const long pages = ::sysconf(_SC_PHYS_PAGES), bytes = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && bytes > 0)
    facts.emplace_back("memory", fmt::format("{:.0f} GiB", static_cast<double>(pages) *
                                                               static_cast<double>(bytes) / (1 << 30)));
  utsname system{};
  std::string name = value_in("/etc/os-release", "PRETTY_NAME=", "\"");
  if (::uname(&system) == 0)
    name += fmt::format("{}{} {}", name.empty() ? "" : ", ", system.sysname, system.release);
  facts.emplace_back("system", printable(name));
  return facts;
}

}  // namespace convoy
