// Runs a study: what of it is not done yet.
#pragma once

#include <functional>

#include "src/study/results.h"

namespace convoy {

/// Where a study's runner says how far it is, a line each.
using StudyProgress = std::function<void(const std::string& line)>;

/// Runs every cell without a result, and reads all results. First the comparison with plain loops in double
/// precision, then speeds, round after round over everything so that a slow minute hits all alike, then
/// single calls, then trainings, each on the engine that was fastest. A cell that fails is written down and
/// the rest goes on. Ends early, with what there is, when `stop` says so.
///
/// The study's text is kept in its folder. Throws Error (exit code 2) where the folder holds another one.
StudyResults conduct(const Study& study, const StudyPlace& place, const std::function<bool()>& stop,
                     const StudyProgress& progress);

}  // namespace convoy
