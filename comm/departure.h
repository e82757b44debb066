// How a rank ends when the run is lost.
#pragma once

#include <vector>

#include "comm/process_identity.h"
#include "core/error.h"

namespace convoy {

/// Ends this process with `code` without unwinding, about 0.2 s later, once the launcher has read what was
/// said. Kills those of the `lost` processes that are of this host and stopped: the run is over for them, and
/// the launcher should not have to wait for them.
[[noreturn]] void depart(const std::vector<ProcessIdentity>& lost, ExitCode code);

}  // namespace convoy
