#include "comm/cores.h"

#include <sched.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include "core/error.h"

namespace convoy {
namespace {

Cores cores_in(const cpu_set_t& set) {
  Cores cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

std::optional<std::string> first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? std::optional(line) : std::nullopt;
}

/// Both are sorted.
Cores common(const Cores& a, const Cores& b) {
  Cores both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

/// The hardware threads of each core among `cores`.
std::vector<Cores> by_core(const Cores& cores, const std::filesystem::path& sys) {
  std::map<int, Cores> threads;  // by the first one of their core
  for (const int core : cores) {
    const auto siblings =
        first_line(sys / fmt::format("devices/system/cpu/cpu{}/topology/thread_siblings_list", core));
    threads[siblings ? parse_cores(*siblings).at(0) : core].push_back(core);
  }
  std::vector<Cores> out;
  for (auto& [first, group] : threads) out.push_back(std::move(group));
  return out;
}

}  // namespace

Cores parse_cores(const std::string& text) {
  Cores cores;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0, last = 0, end = 0;
    const int read = std::sscanf(part.c_str(), "%d%n-%d%n", &first, &end, &last, &end);
    if (read == 1) last = first;
    const bool whole = read > 0 && static_cast<std::size_t>(end) == part.size();
    if (!whole || first < 0 || last < first || last >= 1 << 20) fail("\"{}\" is no list of cores", text);
    for (int core = first; core <= last; ++core) cores.push_back(core);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores;
}

std::string to_text(const Cores& cores) {
  std::string text;
  for (std::size_t first = 0, last = 0; first < cores.size(); first = ++last) {
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += first == last ? fmt::format("{}", cores[first]) : fmt::format("{}-{}", cores[first], cores[last]);
  }
  return text;
}

Cores bound_cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? cores_in(set) : Cores{};
}

/// Linux limits a request to the cores that are allowed.
Cores permitted_cores() {
  cpu_set_t before, all;
  if (sched_getaffinity(0, sizeof before, &before) != 0) return {};
  std::memset(&all, 0xff, sizeof all);
  if (sched_setaffinity(0, sizeof all, &all) != 0) return cores_in(before);
  Cores cores = bound_cores();
  sched_setaffinity(0, sizeof before, &before);
  return cores;
}

void bind_to(const Cores& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) {
    if (core < CPU_SETSIZE) CPU_SET(core, &set);
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    fail("cannot keep to cores {}: {}", to_text(cores), std::strerror(errno));
}

Cores cores_near(const std::string& pci_address, const std::filesystem::path& sys) {
  if (pci_address.empty()) return {};
  std::string device = pci_address;
  std::transform(device.begin(), device.end(), device.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const auto node = first_line(sys / "bus/pci/devices" / device / "numa_node");
  if (!node || node->empty() || (*node)[0] == '-') return {};  // -1: the firmware does not say
  const auto list = first_line(sys / fmt::format("devices/system/node/node{}/cpulist", *node));
  return list ? parse_cores(*list) : Cores{};
}

Cores share_of(const Cores& cores, int index, int count, const std::filesystem::path& sys) {
  const std::vector<Cores> groups = by_core(cores, sys);
  const std::size_t parts = static_cast<std::size_t>(count), mine = static_cast<std::size_t>(index);
  if (groups.size() < parts) return cores;
  Cores share;
  for (std::size_t i = groups.size() * mine / parts; i < groups.size() * (mine + 1) / parts; ++i)
    share.insert(share.end(), groups[i].begin(), groups[i].end());
  std::sort(share.begin(), share.end());
  return share;
}

Cores bind_near(const std::string& pci_address, const RankEnvironment& ranks,
                const std::filesystem::path& sys) {
  const Cores permitted = permitted_cores();
  Cores near;
  if (bound_cores() == permitted) near = common(cores_near(pci_address, sys), permitted);
  // Ranks with the same cores divide them among themselves, in the order of ranks.
  const std::string mine = near.empty() ? "" : fmt::format("{} {}", ranks.host(), to_text(near));
  const std::vector<std::string> all = ranks.gather(mine);
  if (near.empty()) return {};
  const auto place = all.begin() + ranks.rank();
  near = share_of(near, static_cast<int>(std::count(all.begin(), place, mine)),
                  static_cast<int>(std::count(all.begin(), all.end(), mine)), sys);
  bind_to(near);
  return near;
}

int spare_cores(const RankEnvironment& ranks) {
  const Cores cores = bound_cores();
  const std::string mine = fmt::format("{} {}", ranks.host(), to_text(cores));
  const std::vector<std::string> all = ranks.gather(mine);
  const auto share = std::ssize(cores) / std::count(all.begin(), all.end(), mine);
  return static_cast<int>(std::max<std::ptrdiff_t>(1, share - 1));
}

std::string launcher_problem(const std::vector<RankCores>& ranks) {
  std::map<std::string, std::vector<const RankCores*>> hosts;
  for (const RankCores& rank : ranks) hosts[rank.host].push_back(&rank);
  for (const auto& [host, here] : hosts) {
    const Cores& first = here[0]->bound;
    const std::size_t permitted = here[0]->permitted.size();
    const bool alike =
        std::all_of(here.begin(), here.end(), [&](const RankCores* r) { return r->bound == first; });
    Cores used;
    for (const RankCores* rank : here) used.insert(used.end(), rank->bound.begin(), rank->bound.end());
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    if (alike && first.size() < here.size() && first.size() < permitted) {
      return fmt::format(
          "the launcher bound all {} ranks on host {} to core{} {}, of {} that they may use: start them with "
          "mpirun --bind-to none",
          here.size(), host, first.size() == 1 ? "" : "s", to_text(first), permitted);
    }
    if (2 * used.size() < permitted) {
      return fmt::format(
          "the launcher bound the {} on host {} to core{} {}, {} of {} that they may use: start with mpirun "
          "--bind-to none, or give each rank more (--map-by slot:PE=N; srun --cpus-per-task=N)",
          here.size() == 1 ? "rank" : fmt::format("{} ranks", here.size()), host, used.size() == 1 ? "" : "s",
          to_text(used), used.size(), permitted);
    }
  }
  return {};
}

std::string launcher_problem(const RankEnvironment& ranks) {
  if (ranks.group() == nullptr) return {};
  const std::vector<std::string> bound = ranks.gather(to_text(bound_cores())),
                                 permitted = ranks.gather(to_text(permitted_cores())),
                                 hosts = ranks.gather(ranks.host());
  std::vector<RankCores> all;
  for (std::size_t i = 0; i < hosts.size(); ++i)
    all.push_back({hosts[i], parse_cores(bound[i]), parse_cores(permitted[i])});
  return launcher_problem(all);
}

}  // namespace convoy
