// A training or evaluation step as data: calls in execution order, each bound to ranges of the arenas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "comm/calls.h"
#include "core/tensor.h"
#include "kernels/calls.h"
#include "src/layers/all.h"

namespace convoy {

/// One call; a launcher of a plain call that is missing for an engine fails to compile (or link).
using Call = VariantOf<ConcatLists<CommonCalls, LayerCalls, FusedCalls,
                                   TypeList<AllReduce, ExchangeSlices, GatherSlices, Join>>>;

/// What a call of a step is for. A training step is, for each of its passes, forward, which ends with the
/// loss, and backward, with sums of gradients (over passes and ranks) beside it and behind; then the update.
enum class Phase : std::uint8_t {
  forward,
  backward,  ///< what is computed again for it included
  sum,
  update  ///< takes the sums: report, running averages, optimizer
};

struct Step {
  Call call;
  std::string node;  ///< the layer or parameter group it works for
  Phase phase = Phase::forward;
};

struct Plan {
  std::string name;
  std::vector<Step> steps;
  ArenaSizes arenas{};  ///< bytes this plan needs of each arena
  Tensor logits = {};   ///< (images,classes) of an evaluation, which are still there when it has run
};

/// Calls `visitor.reads | writes | updates(Tensor)` for every tensor of the call, absent ones included.
template <class Visitor>
void visit_tensors(const Call& call, Visitor&& visitor) {
  std::visit([&](const auto& c) { std::decay_t<decltype(c)>::visit(c, visitor); }, call);
}
/// The same with Tensor&, so that a pass can rebind them.
template <class Visitor>
void visit_tensors(Call& call, Visitor&& visitor) {
  std::visit([&](auto& c) { std::decay_t<decltype(c)>::visit(c, visitor); }, call);
}

std::string name_of(const Call& call);
std::string describe(const Call& call);
std::int64_t flops_of(const Call& call);
/// Bytes the call has to move: every tensor it reads or writes once, updated ones twice.
std::int64_t bytes_of(const Call& call);

}  // namespace convoy
