// Leaves out calls that make nothing that is read, such as the wgrad of a frozen layer.
#include <algorithm>

#include "src/plan/access.h"
#include "src/plan/passes.h"

namespace convoy {
namespace {

/// Whether ranks meet in the call: then all of them make it.
bool is_collective(const Call& call) {
  return std::holds_alternative<AllReduce>(call) || std::holds_alternative<Join>(call) ||
         std::holds_alternative<ExchangeSlices>(call) || std::holds_alternative<GatherSlices>(call);
}

}  // namespace

Plan drop_unread(Plan plan) {
  std::vector<bool> is_read;  // of unplaced tensors, by their names
  const auto place = [&](const Tensor& tensor) {
    const auto name = static_cast<std::size_t>(tensor.offset);
    if (name >= is_read.size()) is_read.resize(name + 1);
    return name;
  };
  if (plan.logits && plan.logits.arena == Arena::unplaced) is_read[place(plan.logits)] = true;
  std::vector<Step> kept;  // from the last to the first
  for (auto step = plan.steps.rbegin(); step != plan.steps.rend(); ++step) {
    const Access access = access_of(step->call);
    const bool needed = is_collective(step->call) || access.written.empty() ||
                        std::any_of(access.written.begin(), access.written.end(), [&](const Tensor& tensor) {
                          return tensor.arena != Arena::unplaced || is_read[place(tensor)];
                        });
    if (!needed) continue;
    for (const Tensor& tensor : access.read)
      if (tensor.arena == Arena::unplaced) is_read[place(tensor)] = true;
    kept.push_back(std::move(*step));
  }
  std::reverse(kept.begin(), kept.end());
  plan.steps = std::move(kept);
  return plan;
}

}  // namespace convoy
