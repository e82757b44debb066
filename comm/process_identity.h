// A process that others on the same host can check.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace convoy {

/// Where process ids mean the same. Empty texts where the system does not say.
struct ProcessPlace {
  std::string boot;           ///< id of this boot of this host
  std::string pid_namespace;  ///< as /proc names it, "pid:[4026531836]"
  bool operator==(const ProcessPlace&) const = default;
  bool is_known() const { return !boot.empty() && !pid_namespace.empty(); }
};
ProcessPlace own_place();

/// Plain bytes. Process ids mean something within one boot of one host and one namespace of processes
/// (a container); the time of its start tells a process from a later one with the same id.
struct ProcessIdentity {
  std::uint64_t place;  ///< hash of boot id and namespace; 0: unknown
  std::int64_t pid;
  std::uint64_t start;  ///< ticks since boot
};

ProcessIdentity own_process();
/// Of this host; all zero where there is none.
ProcessIdentity process_of(std::int64_t pid);

enum class ProcessState { alive, gone, unknown };
/// `unknown` for a process of another host or container, or one that /proc hides from this user. A stopped
/// process is alive, a zombie is gone.
ProcessState state_of(const ProcessIdentity& process);

/// Of a process of this host: whether a signal or a debugger has stopped it; who started it. False and 0
/// where there is none.
bool is_stopped(std::int64_t pid);
std::int64_t parent_of(std::int64_t pid);

}  // namespace convoy
