// Values that must be the same on every rank.
#pragma once

#include <string>
#include <vector>

#include "comm/rank_environment.h"

namespace convoy {

/// The ranks whose value is not the one that most have; where several are as frequent, the lowest rank's
/// counts as that.
std::vector<int> odd_ones_out(const std::vector<std::string>& values);

/// "rank 1 (host b) has X, the others have Y"; empty when all values are equal. One value and host per rank.
std::string difference(const std::vector<std::string>& values, const std::vector<std::string>& hosts);

/// Whether `mine` is the same on every rank; collective.
bool is_same(const RankEnvironment& ranks, const std::string& mine);
/// Collective. Throws AgreedError where `mine` is not the same on every rank: "`what` differ: ...".
void require_same(const RankEnvironment& ranks, const std::string& what, const std::string& mine);

}  // namespace convoy
