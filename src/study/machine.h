// What a study was run on.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace convoy {

/// The processor, how many of its cores this process may use, memory and the operating system, as far as
/// Linux says.
std::vector<std::pair<std::string, std::string>> machine_facts();

}  // namespace convoy
