#include "src/plan/streams.h"

#include <algorithm>
#include <array>

#include "src/plan/access.h"

namespace convoy {
namespace {

bool must_stay_in_order(const Access& a, const Access& b) {
  return overlap(a.written, b.read) || overlap(a.read, b.written) || overlap(a.written, b.written);
}

}  // namespace

StreamRole stream_role(const Call& call) {
  const Access accesses = access_of(call);
  const auto nothing_here_waits_for = [](const Tensor& tensor) {
    return tensor.arena == Arena::gradients || tensor.arena == Arena::metrics ||
           tensor.arena == Arena::reports;
  };
  const bool aside = !accesses.written.empty() &&
                     std::all_of(accesses.written.begin(), accesses.written.end(), nothing_here_waits_for);
  const bool over_ranks = std::holds_alternative<AllReduce>(call) ||
                          std::holds_alternative<ExchangeSlices>(call) ||
                          std::holds_alternative<GatherSlices>(call);
  return aside && !over_ranks ? StreamRole::side : StreamRole::main;
}

std::vector<StreamSlot> schedule_streams(const Plan& plan) {
  std::vector<StreamSlot> slots(plan.steps.size());
  std::vector<Access> accesses(plan.steps.size());
  std::array<std::optional<std::size_t>, 2>
      waited_for;  // per stream, of the other: a later wait covers earlier
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    accesses[i] = access_of(plan.steps[i].call);
    slots[i].role = stream_role(plan.steps[i].call);
    auto& done = waited_for[static_cast<std::size_t>(slots[i].role)];
    for (std::size_t before = i; before-- > (done ? *done + 1 : 0);) {
      if (slots[before].role == slots[i].role) continue;
      // The main stream waits for sums over ranks, the side stream through it.
      const bool is_join = std::holds_alternative<Join>(plan.steps[before].call);
      if (!is_join && !must_stay_in_order(accesses[before], accesses[i])) continue;
      slots[i].waits_for = done = before;
      break;
    }
  }
  return slots;
}

}  // namespace convoy
