// A process that others on the same host can look after.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace convoy {

/// Plain bytes. Process ids mean something within one boot of one host and one namespace of processes
/// (a container); the time of its start tells a process from a later one with the same id.
struct ProcessIdentity {
  std::uint64_t place;  ///< hash of boot id and namespace; 0: unknown
  std::int64_t pid;
  std::uint64_t start;  ///< ticks since boot
};

ProcessIdentity own_process();

enum class ProcessState { alive, gone, unknown };
/// `unknown` for a process of another host or container.
ProcessState state_of(const ProcessIdentity& process);

}  // namespace convoy
