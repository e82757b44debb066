#include "comm/process_identity.h"

#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace convoy {
namespace {

std::uint64_t place_of_this_process() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::array<char, 64> space{};
  if (!(file >> boot) || ::readlink("/proc/self/ns/pid", space.data(), space.size() - 1) <= 0) return 0;
  return std::hash<std::string>{}(boot + space.data()) | 1U;
}

struct Stat {
  char state = 0;
  std::uint64_t flags = 0, start = 0;
};

/// None where there is no such process, or no /proc.
std::optional<Stat> read_stat(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  const std::size_t name_end = text.rfind(')');  // "pid (name) state parent ..."
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  Stat stat;
  std::string skipped;
  fields >> stat.state;  // field 3
  for (int field = 4; field < 9; ++field) fields >> skipped;
  fields >> stat.flags;  // field 9
  for (int field = 10; field < 22; ++field) fields >> skipped;
  fields >> stat.start;  // field 22
  if (!fields) return std::nullopt;
  return stat;
}

}  // namespace

ProcessIdentity own_process() {
  const std::optional<Stat> stat = read_stat(::getpid());
  if (!stat) return {};
  return {place_of_this_process(), ::getpid(), stat->start};
}

ProcessState state_of(const ProcessIdentity& process) {
  if (process.place == 0 || process.place != place_of_this_process()) return ProcessState::unknown;
  const std::optional<Stat> stat = read_stat(process.pid);
  if (!stat || stat->start != process.start) return ProcessState::gone;
  constexpr std::uint64_t exiting = 0x4;  // PF_EXITING: its descriptors are being closed
  const bool ends = stat->state == 'Z' || stat->state == 'X' || (stat->flags & exiting) != 0;
  return ends ? ProcessState::gone : ProcessState::alive;
}

}  // namespace convoy
