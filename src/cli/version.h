// `convoy --version`: what was built, from what, and for what.
#pragma once

#include <string>

#include "comm/rank_environment.h"

namespace convoy {

/// The version, then a line each for commit, compiler, MPI, CUDA, with CUDA its libraries, and the
/// instructions that products take here. Libraries are those that are open, or would be, with their paths.
std::string version_text(const RankEnvironment& ranks);

}  // namespace convoy
