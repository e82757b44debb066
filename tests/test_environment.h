// What every test shares: the process's place among the ranks.
#pragma once

#include "comm/rank_environment.h"

namespace convoy::testing {

/// The environment that the test binary's main constructed.
const RankEnvironment& ranks();

}  // namespace convoy::testing
