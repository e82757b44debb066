// Gradient buckets: which slices of the flat gradient block are summed over ranks, and when.
#include <algorithm>
#include <iterator>
#include <utility>

#include "src/plan/passes.h"

namespace convoy {
namespace {

struct Bucket {
  std::int64_t begin = 0, end = 0;  ///< bytes of Arena::gradients
};

/// Cuts the block into runs of whole parameters, in the order backward fills them. A bucket is closed once it
/// holds `bucket_bytes`; what is left at the end (the first layers' few weights, the votes, what BatchNorm
/// found) is a small bucket of its own, so that little communication stays exposed after the last gradient.
/// Where gradients go over the wire in 16 bits, what is behind them goes alone.
/// So it is while the last parameters of the block are frozen, whose gradients are not summed.
std::vector<Bucket> make_buckets(const Layout& layout, std::int64_t bucket_bytes, int stage) {
  const std::int64_t trained = layout.stages[static_cast<std::size_t>(stage)].end * size_of(layout.real);
  const bool rest_alone = layout.compressed_gradients || trained < layout.all_gradients.bytes();
  std::vector<std::int64_t> ends;  // of parameters, in the order of the block
  for (const Tensor& gradient : layout.gradients)
    if (gradient && gradient.offset > 0 && gradient.offset < trained) ends.push_back(gradient.offset);
  std::sort(ends.begin(), ends.end());
  ends.push_back(rest_alone ? trained : layout.reduced_block.bytes());
  std::vector<Bucket> buckets;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    if (end - begin >= bucket_bytes || end == ends.back()) {
      buckets.push_back({begin, end});
      begin = end;
    }
  }
  if (rest_alone) buckets.push_back({layout.votes.offset, layout.reduced_block.bytes()});
  return buckets;
}

/// Remembers the index of the last call that writes into each bucket, in whichever block.
struct LastWriter {
  const std::vector<Bucket>& buckets;
  std::int64_t block_bytes;
  std::vector<std::ptrdiff_t> step;
  std::ptrdiff_t current = 0;

  void reads(const Tensor&) {}
  void updates(const Tensor& tensor) { writes(tensor); }
  void writes(const Tensor& tensor) {
    if (tensor.arena != Arena::gradients) return;
    const std::int64_t begin = tensor.offset % block_bytes, end = begin + tensor.bytes();
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      if (begin < buckets[b].end && end > buckets[b].begin) step[b] = current;
    }
  }
};

/// The passes, what adds the gradients of the last one to those of the others, and the update.
struct Parts {
  std::vector<Step> passes;
  std::vector<Fold> last_folds;
  std::vector<Step> update;
};
Parts split(Plan plan) {
  const auto update = std::find_if(plan.steps.begin(), plan.steps.end(),
                                   [](const Step& step) { return step.phase == Phase::update; });
  auto folds = update;
  while (folds != plan.steps.begin() && folds[-1].phase == Phase::sum) --folds;
  Parts parts;
  parts.passes.assign(std::move_iterator(plan.steps.begin()), std::move_iterator(folds));
  for (; folds != update; ++folds) parts.last_folds.push_back(std::get<Fold>(folds->call));
  parts.update.assign(std::move_iterator(update), std::move_iterator(plan.steps.end()));
  return parts;
}

}  // namespace

Plan insert_all_reduces(Plan plan, const Layout& layout, std::int64_t bucket_bytes, int ranks, int stage) {
  if (ranks == 1) return plan;
  Plan out;
  out.name = plan.name;
  Parts parts = split(std::move(plan));
  const std::vector<Bucket> buckets = make_buckets(layout, bucket_bytes, stage);
  LastWriter last{buckets, layout.reduced_block.bytes(), std::vector<std::ptrdiff_t>(buckets.size(), -1)};
  for (const Step& step : parts.passes) {
    visit_tensors(step.call, last);
    ++last.current;
  }

  const auto sum = [&](Call call, const std::string& name) {
    out.steps.push_back({std::move(call), name, Phase::sum});
  };
  for (std::size_t i = 0; i < parts.passes.size(); ++i) {
    out.steps.push_back(std::move(parts.passes[i]));
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      if (last.step[b] != static_cast<std::ptrdiff_t>(i)) continue;
      const std::string name = fmt::format("bucket {}", b);
      const std::int64_t first = buckets[b].begin / size_of(layout.real);
      const std::int64_t count = (buckets[b].end - buckets[b].begin) / size_of(layout.real);
      const auto part = [&](const Tensor& block) { return slice(block, first, count); };
      for (const Fold& fold : parts.last_folds) sum(Fold{part(fold.a), part(fold.b), part(fold.y)}, name);
      Tensor values = part(layout.reduced_block);
      if (layout.compressed_gradients && buckets[b].begin < layout.votes.offset) {
        const Tensor rounded = slice(layout.compressed_gradients, first, count);
        sum(Convert{values, rounded}, name);
        values = rounded;
      }
      sum(AllReduce{values}, name);
    }
  }
  sum(Join{}, "optimizer");
  if (layout.compressed_gradients) {
    const std::int64_t trained = layout.stages[static_cast<std::size_t>(stage)].end;
    sum(Convert{slice(layout.compressed_gradients, 0, trained), slice(layout.all_gradients, 0, trained)},
        "gradients");
  }
  std::move(parts.update.begin(), parts.update.end(), std::back_inserter(out.steps));
  return out;
}

}  // namespace convoy
