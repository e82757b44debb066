// Which CUDA this binary was built with, and which of its libraries are here.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace convoy {

/// Version of the toolkit: "12.4". Empty without the CUDA engine.
std::string cuda_build();
/// Name, and version with path of the library that GPU runs open, or why there is none. Empty without the
/// CUDA engine.
std::vector<std::pair<std::string, std::string>> cuda_libraries();

}  // namespace convoy
