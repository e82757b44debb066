#include "src/plan/recompute.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "src/plan/access.h"

namespace convoy {
namespace {

using Index = std::size_t;
using Id = std::int64_t;  ///< of an unplaced tensor: its offset
using Ids = std::set<Id>;

bool is_named(const Tensor& t) {
  return t.arena == Arena::unplaced;
}

/// The call as it is done for the second time, where it may be.
std::optional<Call> repetition_of(const Call& call) {
  return std::visit(
      [](const auto& c) -> std::optional<Call> {
        if constexpr (requires { c.again(); })
          return c.again();
        else
          return std::nullopt;
      },
      call);
}

/// Reads from copies, where there are any, and, if told to, writes elsewhere.
struct Rebinder {
  const std::map<Id, Tensor>& copies;
  Tensor output;
  void reads(Tensor& t) const {
    const auto copy = is_named(t) ? copies.find(t.offset) : copies.end();
    if (copy != copies.end()) t = copy->second;
  }
  void writes(Tensor& t) const {
    if (t && output) t = output;
  }
  void updates(Tensor&) const {}
};

/// A plan, and what of its forward can be computed again.
class Repeatable {
 public:
  explicit Repeatable(const Plan& plan) : plan_(plan) {
    const Index size = plan.steps.size();
    while (backward_ < size && plan.steps[backward_].phase == Phase::forward) ++backward_;
    for (const Step& step : plan.steps) accesses_.push_back(access_of(step.call));
    for (Index i = 0; i < size; ++i) {
      for (const Tensor& t : accesses_[i].written)
        if (is_named(t)) next_ = std::max(next_, t.offset + 1);
      for (const Tensor& t : accesses_[i].read) {
        if (!is_named(t)) continue;
        last_read_ = i;
        if (i >= backward_) read_in_backward_.insert(t.offset);
      }
    }
    for (Index i = 0; i < backward_; ++i) {
      const auto again = repetition_of(plan.steps[i].call);
      if (!again || !inputs_last(i)) continue;
      const Tensor& output = accesses_[i].written.front();
      sources_.emplace(output.offset,
                       Source{{*again, plan.steps[i].node + " again", Phase::backward}, output.bytes()});
    }
  }

  /// What backward reads, the largest first.
  std::vector<Id> candidates() const {
    std::vector<Id> ids;
    for (const auto& [id, source] : sources_)
      if (read_in_backward_.contains(id)) ids.push_back(id);
    std::stable_sort(ids.begin(), ids.end(),
                     [&](Id a, Id b) { return sources_.at(a).bytes > sources_.at(b).bytes; });
    return ids;
  }

  /// Adds a tensor to those that are computed again, and what only its computation reads: that need not
  /// outlive forward either.
  void choose(Id id, Ids& chosen) const {
    if (!chosen.insert(id).second) return;
    for (const Tensor& t : access_of(sources_.at(id).step.call).read) {
      if (is_named(t) && sources_.contains(t.offset) && !read_in_backward_.contains(t.offset))
        choose(t.offset, chosen);
    }
  }

  /// The plan whose backward reads copies of the chosen tensors.
  Plan with(const Ids& chosen) const {
    Plan out{plan_.name, {}, plan_.arenas, plan_.logits};
    std::map<Id, Tensor> copies;
    for (Index i = 0; i < plan_.steps.size(); ++i) {
      if (i >= backward_)
        for (const Tensor& t : accesses_[i].read) repeat(t, chosen, copies, out);
      out.steps.push_back(plan_.steps[i]);
      if (i >= backward_) visit_tensors(out.steps.back().call, Rebinder{copies, {}});
    }
    return out;
  }

 private:
  struct Source {
    Step step;               ///< the repeatable call
    std::int64_t bytes = 0;  ///< of the one tensor it writes
  };

  /// Whether what the step reads stays as it is while backward may ask for it.
  bool inputs_last(Index step) const {
    for (Index i = step + 1; i <= last_read_; ++i)
      if (overlap(accesses_[i].written, accesses_[step].read)) return false;
    return true;
  }

  /// Computes a chosen tensor again, after the chosen ones that it is computed from.
  void repeat(const Tensor& tensor, const Ids& chosen, std::map<Id, Tensor>& copies, Plan& out) const {
    if (!is_named(tensor) || !chosen.contains(tensor.offset) || copies.contains(tensor.offset)) return;
    Step again = sources_.at(tensor.offset).step;
    for (const Tensor& t : access_of(again.call).read) repeat(t, chosen, copies, out);
    Tensor copy = tensor;
    copy.offset = next_ + static_cast<Id>(copies.size());
    visit_tensors(again.call, Rebinder{copies, copy});
    copies.emplace(tensor.offset, copy);
    out.steps.push_back(std::move(again));
  }

  const Plan& plan_;
  std::vector<Access> accesses_;  ///< one per step
  Index backward_ = 0;            ///< the first step after forward
  Index last_read_ = 0;           ///< the last step that reads a tensor of the step itself
  Id next_ = 0;                   ///< the first free name
  std::map<Id, Source> sources_;  ///< by what they compute
  Ids read_in_backward_;
};

}  // namespace

Plan recompute(Plan plan, const PlanBytes& bytes) {
  const Repeatable repeatable(plan);
  Ids chosen;
  Plan best = plan;
  std::int64_t least = bytes(best);
  for (const Id id : repeatable.candidates()) {
    Ids more = chosen;
    repeatable.choose(id, more);
    Plan trial = repeatable.with(more);
    const std::int64_t needed = bytes(trial);
    if (needed >= least) continue;
    chosen = std::move(more), best = std::move(trial), least = needed;
  }
  return best;
}

}  // namespace convoy
