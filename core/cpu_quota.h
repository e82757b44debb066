// How many cores a container may use: its share of time, not the cores that it sees.
#pragma once

#include <optional>
#include <string_view>

namespace convoy {

/// Whole cores, at least one, of cgroup v2's cpu.max: "QUOTA PERIOD" in microseconds of CPU time per period,
/// or "max PERIOD". None without a limit, and of text of another form.
std::optional<int> cores_of_quota(std::string_view cpu_max);

/// The limit of the cgroup that this process sees as its root, if there is one (Docker, Kubernetes).
std::optional<int> quota_cores();

}  // namespace convoy
