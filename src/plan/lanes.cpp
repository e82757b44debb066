#include "src/plan/lanes.h"

#include <algorithm>
#include <array>

namespace convoy {
namespace {

struct Accesses {
  std::vector<Tensor> read, written;
  void reads(const Tensor& tensor) {
    if (tensor) read.push_back(tensor);
  }
  void writes(const Tensor& tensor) {
    if (tensor) written.push_back(tensor);
  }
  void updates(const Tensor& tensor) { reads(tensor), writes(tensor); }
};

bool overlap(const Tensor& a, const Tensor& b) {
  return a.arena == b.arena && a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes();
}
bool any_overlap(const std::vector<Tensor>& some, const std::vector<Tensor>& others) {
  return std::any_of(some.begin(), some.end(), [&](const Tensor& a) {
    return std::any_of(others.begin(), others.end(), [&](const Tensor& b) { return overlap(a, b); });
  });
}
bool must_stay_in_order(const Accesses& a, const Accesses& b) {
  return any_overlap(a.written, b.read) || any_overlap(a.read, b.written) ||
         any_overlap(a.written, b.written);
}

}  // namespace

Lane lane_of(const Call& call) {
  Accesses accesses;
  visit_tensors(call, accesses);
  const bool only_gradients =
      !accesses.written.empty() &&
      std::all_of(accesses.written.begin(), accesses.written.end(),
                  [](const Tensor& tensor) { return tensor.arena == Arena::gradients; });
  return only_gradients && !std::holds_alternative<AllReduce>(call) ? Lane::side : Lane::main;
}

std::vector<LaneSlot> schedule_lanes(const Plan& plan) {
  std::vector<LaneSlot> slots(plan.steps.size());
  std::vector<Accesses> accesses(plan.steps.size());
  std::array<std::optional<std::size_t>, 2>
      waited_for;  // per lane, of the other: a later wait covers earlier
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    visit_tensors(plan.steps[i].call, accesses[i]);
    slots[i].lane = lane_of(plan.steps[i].call);
    auto& done = waited_for[static_cast<std::size_t>(slots[i].lane)];
    for (std::size_t before = i; before-- > (done ? *done + 1 : 0);) {
      if (slots[before].lane == slots[i].lane || !must_stay_in_order(accesses[before], accesses[i])) continue;
      slots[i].waits_for = done = before;
      break;
    }
  }
  return slots;
}

}  // namespace convoy
