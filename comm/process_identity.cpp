#include "comm/process_identity.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace convoy {
namespace {

std::uint64_t place_of_this_process() {
  const ProcessPlace place = own_place();
  return place.is_known() ? std::hash<std::string>{}(place.boot + place.pid_namespace) | 1U : 0;
}

struct Stat {
  char state = 0;
  std::int64_t parent = 0;
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
  fields >> stat.state >> stat.parent;  // fields 3 and 4
  for (int field = 5; field < 9; ++field) fields >> skipped;
  fields >> stat.flags;  // field 9
  for (int field = 10; field < 22; ++field) fields >> skipped;
  fields >> stat.start;  // field 22
  if (!fields) return std::nullopt;
  return stat;
}

/// /proc may hide processes of other users (its option hidepid); kill(pid, 0) still shows that they exist.
bool is_there(std::int64_t pid) {
  return ::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
}

}  // namespace

ProcessPlace own_place() {
  ProcessPlace place;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::array<char, 64> space{};
  file >> place.boot;
  if (::readlink("/proc/self/ns/pid", space.data(), space.size() - 1) > 0) place.pid_namespace = space.data();
  return place;
}

ProcessIdentity own_process() {
  return process_of(::getpid());
}

ProcessIdentity process_of(std::int64_t pid) {
  const std::optional<Stat> stat = read_stat(pid);
  if (!stat) return {};
  return {place_of_this_process(), pid, stat->start};
}

ProcessState state_of(const ProcessIdentity& process) {
  if (process.place == 0 || process.place != place_of_this_process()) return ProcessState::unknown;
  const std::optional<Stat> stat = read_stat(process.pid);
  if (!stat && is_there(process.pid)) return ProcessState::unknown;
  if (!stat || stat->start != process.start) return ProcessState::gone;
  constexpr std::uint64_t exiting = 0x4;  // PF_EXITING: its descriptors are being closed
  const bool ends = stat->state == 'Z' || stat->state == 'X' || (stat->flags & exiting) != 0;
  return ends ? ProcessState::gone : ProcessState::alive;
}

bool is_stopped(std::int64_t pid) {
  const std::optional<Stat> stat = read_stat(pid);
  return stat && (stat->state == 'T' || stat->state == 't');
}

std::int64_t parent_of(std::int64_t pid) {
  const std::optional<Stat> stat = read_stat(pid);
  return stat ? stat->parent : 0;
}

}  // namespace convoy
