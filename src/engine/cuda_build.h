// What differs between builds with CUDA and without: cuda_build_cuda.cpp and engine_cuda.cpp, or
// cuda_build_no_cuda.cpp.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/engine/engine.h"

namespace convoy {

/// Version of the toolkit: "12.4". Empty without CUDA.
std::string cuda_build();
/// Name, and version with path of the library that GPU runs open, or why there is none. Empty without CUDA.
std::vector<std::pair<std::string, std::string>> cuda_libraries();
/// Collective: every rank calls it. Without CUDA it throws what to do instead.
std::unique_ptr<Engine> make_cuda_engine(const RankEnvironment& ranks);

}  // namespace convoy
