// `convoy --version`: what was built, from what, and for what.
#pragma once

#include <string>

namespace convoy {

/// The version, then a line each for commit, compiler, MPI, CUDA and the instructions that products take
/// here.
std::string version_text();

}  // namespace convoy
