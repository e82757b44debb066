// Gradient buckets: which slices of the flat gradient block are summed over ranks, and when.
#include <algorithm>
#include <utility>

#include "src/plan/access.h"
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
std::vector<Bucket> make_buckets(const Layout& layout, std::int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::int64_t begin = 0;
  for (std::size_t i = layout.gradients.size(); i-- > 0;) {
    const std::int64_t last =
        layout.compressed_gradients ? layout.all_gradients.bytes() : layout.reduced_block.bytes();
    const std::int64_t end = i > 0 ? layout.gradients[i - 1].offset : last;
    if (end - begin >= bucket_bytes || i == 0) {
      buckets.push_back({begin, end});
      begin = end;
    }
  }
  if (layout.compressed_gradients) buckets.push_back({layout.votes.offset, layout.reduced_block.bytes()});
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

bool takes_sums(const Call& call) {
  return std::holds_alternative<ReportStep>(call) || std::holds_alternative<CheckGradients>(call) ||
         std::holds_alternative<BatchNormRunning>(call) || std::holds_alternative<OptimizerStep>(call);
}

bool writes_gradients(const Step& step) {
  const Access access = access_of(step.call);
  return std::any_of(access.written.begin(), access.written.end(),
                     [](const Tensor& tensor) { return tensor.arena == Arena::gradients; });
}
bool is_fold(const Step& step) {
  return std::holds_alternative<Add>(step.call) && writes_gradients(step);
}

/// Takes the sums of blocks out of the plan that come after all else that writes gradients.
std::vector<Add> take_last_folds(Plan& plan) {
  auto first = plan.steps.end();
  while (first != plan.steps.begin() && (!writes_gradients(first[-1]) || is_fold(first[-1]))) --first;
  std::vector<Add> folds;
  for (auto step = first; step != plan.steps.end(); ++step) {
    if (is_fold(*step)) folds.push_back(std::get<Add>(step->call));
  }
  plan.steps.erase(std::remove_if(first, plan.steps.end(), is_fold), plan.steps.end());
  return folds;
}

}  // namespace

Plan insert_all_reduces(Plan plan, const Layout& layout, std::int64_t bucket_bytes, int ranks) {
  if (ranks == 1) return plan;
  const std::vector<Add> folds = take_last_folds(plan);
  const std::vector<Bucket> buckets = make_buckets(layout, bucket_bytes);
  LastWriter last{buckets, layout.reduced_block.bytes(), std::vector<std::ptrdiff_t>(buckets.size(), -1)};
  for (const Step& step : plan.steps) {
    visit_tensors(step.call, last);
    ++last.current;
  }

  Plan out;
  out.name = plan.name;
  bool joined = false;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (takes_sums(plan.steps[i].call) && !std::exchange(joined, true)) {
      out.steps.push_back({Join{}, "optimizer"});
      if (layout.compressed_gradients)
        out.steps.push_back({Convert{layout.compressed_gradients, layout.all_gradients}, "gradients"});
    }
    out.steps.push_back(std::move(plan.steps[i]));
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      if (last.step[b] != static_cast<std::ptrdiff_t>(i)) continue;
      const std::string name = fmt::format("bucket {}", b);
      const std::int64_t first = buckets[b].begin / size_of(layout.real);
      const std::int64_t count = (buckets[b].end - buckets[b].begin) / size_of(layout.real);
      const auto part = [&](const Tensor& block) { return slice(block, first, count); };
      for (const Add& fold : folds)
        out.steps.push_back({Add{part(fold.a), part(fold.b), part(fold.y)}, name});
      Tensor values = part(layout.reduced_block);
      if (layout.compressed_gradients && buckets[b].begin < layout.votes.offset) {
        const Tensor rounded = slice(layout.compressed_gradients, first, count);
        out.steps.push_back({Convert{values, rounded}, name});
        values = rounded;
      }
      out.steps.push_back({AllReduce{values}, name});
    }
  }
  return out;
}

}  // namespace convoy
