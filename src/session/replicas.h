// Checks that all ranks hold the same weights.
#pragma once

#include <string>

#include "comm/rank_environment.h"
#include "src/session/session.h"

namespace convoy {

/// Compares hashes of the weights over all ranks, after the steps queued so far. Collective; throws
/// AgreedError that names the first tensor that differs, in the order of the network, and the ranks. `when`
/// is for people: "after step 1000".
void require_same_weights(Session& session, const RankEnvironment& ranks, const std::string& when);

}  // namespace convoy
