// Liveness, over random networks: no two tensors that live at the same time share a byte.
#include <gtest/gtest.h>

#include <map>

#include "src/plan/fusion.h"
#include "src/plan/passes.h"
#include "src/plan/recompute.h"
#include "tests/plan/random_network.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

struct Tensors {
  std::vector<Tensor> read, written;
  void reads(const Tensor& t) { read.push_back(t); }
  void writes(const Tensor& t) { written.push_back(t); }
  void updates(const Tensor& t) { reads(t), writes(t); }
};

/// Replays a placed plan on paper: every two bytes remember which unplaced tensor was last written there.
/// Returns how many were read.
std::int64_t replay(const Plan& before, const Plan& after) {
  std::map<std::int64_t, std::int64_t> owner;
  std::int64_t reads = 0;
  const auto pieces = [](const Tensor& t, auto visit) {
    for (std::int64_t at = t.offset / 2; at < (t.offset + t.bytes()) / 2; ++at) visit(at);
  };
  for (std::size_t i = 0; i < before.steps.size(); ++i) {
    Tensors unplaced, placed;
    visit_tensors(before.steps[i].call, unplaced);
    visit_tensors(after.steps[i].call, placed);
    for (std::size_t t = 0; t < placed.read.size(); ++t) {
      if (placed.read[t].arena != Arena::activations) continue;
      bool intact = true;
      pieces(placed.read[t], [&](std::int64_t at) {
        const auto found = owner.find(at);
        intact = intact && found != owner.end() && found->second == unplaced.read[t].offset;
        ++reads;
      });
      EXPECT_TRUE(intact) << name_of(after.steps[i].call) << " of " << after.steps[i].node
                          << " reads what something else has overwritten";
    }
    for (std::size_t t = 0; t < placed.written.size(); ++t) {
      if (placed.written[t].arena != Arena::activations) continue;
      EXPECT_LE(placed.written[t].offset + placed.written[t].bytes(),
                after.arenas[static_cast<std::size_t>(Arena::activations)]);
      pieces(placed.written[t], [&](std::int64_t at) { owner[at] = unplaced.written[t].offset; });
    }
  }
  return reads;
}

std::int64_t bytes_without_reuse(const Plan& plan) {
  struct Sum {
    std::map<std::int64_t, std::int64_t> bytes;
    void reads(const Tensor&) {}
    void writes(const Tensor& t) {
      if (t.arena == Arena::unplaced) bytes[t.offset] = t.bytes();
    }
    void updates(const Tensor& t) { writes(t); }
  } sum;
  for (const Step& step : plan.steps) visit_tensors(step.call, sum);
  std::int64_t total = 0;
  for (const auto& [id, bytes] : sum.bytes) total += bytes;
  return total;
}

TEST(Placement, TensorsKeepTheirBytesUntilTheirLastUse) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    const std::string layers = RandomNetwork(seed).yaml();
    SCOPED_TRACE(layers);
    const bool stored_in_half = seed % 2 == 1;
    const Config config =
        parse_config(fmt::format("data: {{source: digits}}\nmodel:\n  input: [3, 8, 8]\n  layers:\n{}"
                                 "train: {{global_batch: 8, precision: {}}}\n"
                                 "optimizer: {{name: sgd, lr: 0.1}}\n",
                                 layers, stored_in_half ? "fp16" : "fp32"),
                     "random.yaml", {});
    const Graph graph = build_graph(config.model);
    const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
    const int ranks = 1 + static_cast<int>(seed % 3);
    Plan plan = training_plan(graph, layout, config, {{7, shard_of(7, 0, ranks), ranks}}, true);
    if (seed % 4 < 2) plan = fuse(std::move(plan), [](const Call&) { return true; });
    plan = insert_all_reduces(std::move(plan), layout, 500, ranks);
    const auto place = [&](Plan p) {
      return place_tensors(std::move(p), layout, [](const Call&) { return std::int64_t{0}; });
    };
    if (seed % 8 < 4) {
      plan = recompute(std::move(plan), [&](const Plan& p) {
        return place(p).arenas[static_cast<std::size_t>(Arena::activations)];
      });
    }
    const Plan placed = place(plan);
    ASSERT_EQ(plan.steps.size(), placed.steps.size());
    EXPECT_GT(replay(plan, placed), 1000);
    EXPECT_LT(placed.arenas[static_cast<std::size_t>(Arena::activations)], bytes_without_reuse(plan))
        << "space is reused";
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace convoy::testing
