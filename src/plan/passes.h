// The passes that make a plan, in this order. Each is a function of its arguments and testable alone.
#pragma once

#include <cstdint>
#include <functional>

#include "src/plan/layout.h"
#include "src/plan/micro_batch.h"
#include "src/plan/plan.h"

namespace convoy {

/// Augment and forward, loss, backward, into its block of gradients. Tensors of the step itself are unplaced.
/// Of the parameters that are frozen in the stage, no gradients are computed.
Plan training_pass(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                   bool resident, int stage = 0);
/// Whether a group of the layer has a single value per channel in such a batch: it has no variance.
bool normalises_one_value(const Node& node, const MicroBatch& batch);
/// What follows once gradients are summed: the report to the host, their check, running averages but for
/// `unmoved` ones (of Layout::statistics), optimizer.
Plan update_plan(const Layout& layout, const Config& config, const std::vector<Tensor>& unmoved = {},
                 int stage = 0);
/// A whole step: the passes, each as `optimize_pass` leaves it, their sums in block 0 of the gradients, the
/// update. Running variances of layers that normalise a single value stay as they are. With
/// train.reproducible_across_ranks the sum over ranks, too, whose order is the same on any rank count.
Plan training_plan(const Graph& graph, const Layout& layout, const Config& config,
                   const std::vector<MicroBatch>& passes, bool resident,
                   const std::function<Plan(Plan)>& optimize_pass = std::identity{}, int stage = 0);
/// Gather and forward without randomness, loss and correct answers into Layout::validation_metrics; the
/// logits are kept (Plan::logits).
Plan evaluation_plan(const Graph& graph, const Layout& layout, const Config& config, const MicroBatch& batch,
                     bool resident);

/// A hash of every parameter and every average into Layout::hashes; Step::node is its name in files.
Plan verification_plan(const Graph& graph, const Layout& layout);

/// Inserts one AllReduce per bucket, a slice of Layout::reduced_block of about `bucket_bytes`, right after
/// the call that completes it, and a Join before the update. The last sums of blocks of gradients are cut
/// into the same slices, so that no bucket waits for another. A plan for one rank is returned as it is.
Plan insert_all_reduces(Plan plan, const Layout& layout, std::int64_t bucket_bytes, int ranks, int stage = 0);

/// Leaves out calls whose results nobody reads, as those are that would compute gradients of frozen
/// parameters.
Plan drop_unread(Plan plan);

/// Gives every unplaced tensor its range of Arena::activations, reusing the space of tensors whose last use
/// is over, and fills in Plan::arenas, `workspace(call)` bytes of scratch included. With two streams, what
/// the side stream reads is kept a little longer, so that the main stream need not wait for it.
Plan place_tensors(Plan plan, const Layout& layout, const std::function<std::int64_t(const Call&)>& workspace,
                   int streams = 1);

}  // namespace convoy
