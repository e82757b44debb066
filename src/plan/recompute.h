// Recomputation: what a cheap call computes is forgotten after forward and computed again for backward (Chen
// et al., "Training Deep Nets with Sublinear Memory Cost", 2016). The plan's peak of memory, where backward
// begins, falls; results keep every bit.
#pragma once

#include <cstdint>
#include <functional>

#include "src/plan/plan.h"

namespace convoy {

/// Bytes that a plan needs: what recomputation lowers.
using PlanBytes = std::function<std::int64_t(const Plan&)>;

/// Repeats cheap calls of forward (normalisations, activations, sums, poolings, dropouts) into fresh tensors
/// right before the first call of backward that reads their results. Takes the largest tensors first, each
/// only where `bytes` falls. A call that may be repeated has a member again(): itself as it is done then,
/// when its one output is all that it writes. Products have none, as they take too long. Running averages are
/// not touched: they belong to BatchNormMoments. Needs unplaced tensors, each written once; goes after
/// fusion, whose rules ask who reads a tensor. A plan without backward is returned as it is.
Plan recompute(Plan plan, const PlanBytes& bytes);

}  // namespace convoy
