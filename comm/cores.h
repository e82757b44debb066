// The cores that a rank may run on, and the choice among them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/rank_environment.h"

namespace convoy {

/// Numbers of cores as Linux counts them (hardware threads), rising.
using Cores = std::vector<int>;

/// Linux's way to write them: "0-3,8". Throws Error for any other text.
Cores parse_cores(const std::string& text);
std::string to_text(const Cores& cores);

/// Those that the calling thread is bound to.
Cores bound_cores();
/// Those that it could be bound to: all that the machine has online and the control group lets it use.
Cores permitted_cores();
/// Binds the calling thread, and those it starts from now on. Throws Error.
void bind_to(const Cores& cores);

/// The cores of the NUMA node of a PCI device ("0000:1B:00.0"), from the files below `sys`; empty if they do
/// not say.
Cores cores_near(const std::string& pci_address, const std::filesystem::path& sys = "/sys");
/// Part `index` of `count`, as even as can be without parting the hardware threads of a core; all of them
/// when there are fewer cores than parts.
Cores share_of(const Cores& cores, int index, int count, const std::filesystem::path& sys = "/sys");

/// How many threads beside its main one a rank may keep busy: one per core that it is bound to, but one.
/// Ranks that are bound to the same cores share them. At least one. Collective.
int spare_cores(const RankEnvironment& ranks);

/// Where nothing has bound a rank yet, binds it to its share of the cores near its device ("" for none).
/// Collective. Returns the cores it was bound to, empty when it was left as it is.
Cores bind_near(const std::string& pci_address, const RankEnvironment& ranks,
                const std::filesystem::path& sys = "/sys");

/// A rank's cores, for launcher_problem().
struct RankCores {
  std::string host;
  Cores bound, permitted;
};
/// Says how the launcher bound the ranks wrongly and what to do; empty if all is well.
std::string launcher_problem(const std::vector<RankCores>& ranks);
/// The same of the ranks that run; collective. Empty where no launcher started them.
std::string launcher_problem(const RankEnvironment& ranks);

}  // namespace convoy
