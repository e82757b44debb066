// Liveness: which tensors of a step are needed at the same time, and where each lies in the activation arena.
#include <algorithm>
#include <map>

#include "core/ceil_div.h"
#include "src/plan/passes.h"
#include "src/plan/streams.h"

namespace convoy {
namespace {

constexpr std::int64_t alignment = 256;
constexpr std::size_t side_lag = 4;  ///< steps that the side stream may fall behind without anyone waiting

struct Lifetime {
  std::int64_t id = 0, bytes = 0;
  std::size_t first = 0, last = 0;  ///< steps that touch it
  std::int64_t offset = -1;
};

struct LifetimeCollector {
  std::map<std::int64_t, Lifetime> lifetimes;
  std::size_t step = 0, lag = 0;
  void touch(const Tensor& tensor) {
    if (tensor.arena != Arena::unplaced) return;
    const auto [it, inserted] =
        lifetimes.try_emplace(tensor.offset, Lifetime{tensor.offset, 0, step, step, -1});
    it->second.last = std::max(it->second.last, step + lag);
    it->second.bytes = std::max(it->second.bytes, ceil_div(tensor.bytes(), alignment) * alignment);
  }
  void reads(const Tensor& t) { touch(t); }
  void writes(const Tensor& t) { touch(t); }
  void updates(const Tensor& t) { touch(t); }
};

struct Rebinder {
  const std::map<std::int64_t, Lifetime>& lifetimes;
  void bind(Tensor& tensor) const {
    if (tensor.arena != Arena::unplaced) return;
    tensor.offset = lifetimes.at(tensor.offset).offset;
    tensor.arena = Arena::activations;
  }
  void reads(Tensor& t) { bind(t); }
  void writes(Tensor& t) { bind(t); }
  void updates(Tensor& t) { bind(t); }
};

/// Greedy by size: the largest first, each at the lowest offset free of tensors that live at the same time
/// (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). Returns the arena's
/// size.
std::int64_t assign_offsets(std::map<std::int64_t, Lifetime>& lifetimes) {
  std::vector<Lifetime*> by_size;
  for (auto& [id, lifetime] : lifetimes) by_size.push_back(&lifetime);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const auto* a, const auto* b) { return a->bytes > b->bytes; });

  std::vector<const Lifetime*> placed;  // ascending offset
  std::int64_t size = 0;
  for (Lifetime* tensor : by_size) {
    std::int64_t offset = 0;
    for (const Lifetime* other : placed) {
      if (other->last < tensor->first || tensor->last < other->first) continue;
      if (offset + tensor->bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    tensor->offset = offset;
    size = std::max(size, offset + tensor->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), tensor,
                                   [](const auto* a, const auto* b) { return a->offset < b->offset; }),
                  tensor);
  }
  return size;
}

}  // namespace

Plan place_tensors(Plan plan, const Layout& layout, const std::function<std::int64_t(const Call&)>& workspace,
                   int streams) {
  const auto on_side = [&](const Call& call) { return streams > 1 && stream_role(call) == StreamRole::side; };
  LifetimeCollector collector;
  for (const Step& step : plan.steps) {
    collector.lag = on_side(step.call) ? side_lag : 0;
    visit_tensors(step.call, collector);
    ++collector.step;
  }
  collector.touch(plan.logits);
  plan.arenas = layout.arenas;
  plan.arenas[static_cast<std::size_t>(Arena::activations)] = assign_offsets(collector.lifetimes);
  for (Step& step : plan.steps) {
    const Arena arena = on_side(step.call) ? Arena::side_workspace : Arena::workspace;
    std::int64_t& scratch = plan.arenas[static_cast<std::size_t>(arena)];
    visit_tensors(step.call, Rebinder{collector.lifetimes});
    scratch = std::max(scratch, workspace(step.call));
  }
  Rebinder{collector.lifetimes}.bind(plan.logits);
  return plan;
}

}  // namespace convoy
