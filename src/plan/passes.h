// The passes that make a plan, in this order. Each is a function of its arguments and testable alone.
#pragma once

#include <cstdint>
#include <functional>

#include "src/data/dataset.h"
#include "src/plan/layout.h"
#include "src/plan/plan.h"

namespace convoy {

/// One batch as this rank sees it.
struct BatchShape {
  int global_n = 0;  ///< images over all ranks
  Shard shard;       ///< this rank's part of them; may be empty
  int ranks = 1;
};

/// Augment and forward, loss, backward, optimizer. Tensors of the step itself are unplaced.
Plan training_plan(const Graph& graph, const Layout& layout, const Config& config, const BatchShape& batch,
                   bool resident);
/// Gather and forward without randomness, loss and correct answers into Layout::validation_metrics.
Plan evaluation_plan(const Graph& graph, const Layout& layout, const Config& config, const BatchShape& batch,
                     bool resident);

/// A hash of every parameter and every average into Layout::hashes; Step::node is its name in files.
Plan verification_plan(const Graph& graph, const Layout& layout);

/// Inserts one AllReduce per bucket, a slice of the flat gradient block of about `bucket_bytes`, right after
/// the call that completes it, and a Join before the optimizer. A plan for one rank is returned as it is.
Plan insert_all_reduces(Plan plan, const Layout& layout, std::int64_t bucket_bytes, int ranks);

/// Gives every unplaced tensor its range of Arena::activations, reusing the space of tensors whose last use
/// is over, and fills in Plan::arenas, `workspace(call)` bytes of scratch included. With two lanes, what the
/// side lane reads is kept a little longer, so that the main lane need not wait for it.
Plan place_tensors(Plan plan, const Layout& layout, const std::function<std::int64_t(const Call&)>& workspace,
                   int lanes = 1);

}  // namespace convoy
