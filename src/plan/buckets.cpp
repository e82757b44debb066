// Gradient buckets: which slices of the flat gradient block are summed over ranks, and when.
#include <algorithm>
#include <utility>

#include "src/plan/passes.h"

namespace convoy {
namespace {

struct Bucket {
  std::int64_t begin = 0, end = 0;  ///< bytes of Arena::gradients
};

/// Cuts the block into runs of whole parameters, in the order backward fills them. A bucket is closed once it
/// holds `bucket_bytes`; what is left at the end (the first layers' few weights and the votes) is a small
/// bucket of its own, so that little communication stays exposed after the last gradient.
std::vector<Bucket> make_buckets(const Layout& layout, std::int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::int64_t begin = 0;
  for (std::size_t i = layout.gradients.size(); i-- > 0;) {
    const std::int64_t end =
        i > 0 ? layout.gradients[i - 1].offset : layout.votes.offset + layout.votes.bytes();
    if (end - begin >= bucket_bytes || i == 0) {
      buckets.push_back({begin, end});
      begin = end;
    }
  }
  return buckets;
}

/// Remembers the index of the last call that writes into each bucket.
struct LastWriter {
  const std::vector<Bucket>& buckets;
  std::vector<std::ptrdiff_t> step;
  std::ptrdiff_t current = 0;

  void reads(const Tensor&) {}
  void updates(const Tensor& tensor) { writes(tensor); }
  void writes(const Tensor& tensor) {
    if (tensor.arena != Arena::gradients) return;
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      const bool overlaps =
          tensor.offset < buckets[b].end && tensor.offset + tensor.bytes() > buckets[b].begin;
      if (overlaps) step[b] = current;
    }
  }
};

bool takes_sums(const Call& call) {
  return std::holds_alternative<ReportStep>(call) || std::holds_alternative<CheckGradients>(call) ||
         std::holds_alternative<SgdStep>(call) || std::holds_alternative<AdamStep>(call);
}

}  // namespace

Plan insert_all_reduces(Plan plan, const Layout& layout, std::int64_t bucket_bytes, int ranks) {
  if (ranks == 1) return plan;
  const std::vector<Bucket> buckets = make_buckets(layout, bucket_bytes);
  LastWriter last{buckets, std::vector<std::ptrdiff_t>(buckets.size(), -1)};
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
    }
    out.steps.push_back(std::move(plan.steps[i]));
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      if (last.step[b] != static_cast<std::ptrdiff_t>(i)) continue;
      const std::int64_t count = (buckets[b].end - buckets[b].begin) / size_of(layout.real);
      const Tensor values{Arena::gradients, layout.real, buckets[b].begin, count};
      out.steps.push_back({AllReduce{values}, fmt::format("bucket {}", b)});
    }
  }
  return out;
}

}  // namespace convoy
