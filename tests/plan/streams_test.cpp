// Two streams: calls that touch the same bytes keep their order, and gradients of parameters leave the main
// stream.
#include "src/plan/streams.h"

#include <gtest/gtest.h>

#include "src/plan/fusion.h"
#include "src/plan/passes.h"
#include "src/plan/recompute.h"
#include "tests/plan/random_network.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

struct Accesses {
  std::vector<Tensor> read, written;
  void reads(const Tensor& t) { read.push_back(t); }
  void writes(const Tensor& t) { written.push_back(t); }
  void updates(const Tensor& t) { reads(t), writes(t); }
};

bool share_a_byte(const std::vector<Tensor>& some, const std::vector<Tensor>& others) {
  for (const Tensor& a : some) {
    for (const Tensor& b : others) {
      if (a && b && a.arena == b.arena &&
          std::max(a.offset, b.offset) < std::min(a.offset + a.bytes(), b.offset + b.bytes())) {
        return true;
      }
    }
  }
  return false;
}

Plan placed_plan(const std::string& layers, unsigned seed) {
  const Config config = parse_config(
      fmt::format(
          "data: {{source: digits}}\nmodel:\n  input: [3, 8, 8]\n  layers:\n{}"
          "train: {{global_batch: 8, precision: {}}}\noptimizer: {{name: sgd, lr: 0.1, momentum: 0.9}}\n",
          layers, seed % 2 == 0 ? "fp32" : "fp16"),
      "random.yaml", {});
  const Graph graph = build_graph(config.model);
  const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
  const int ranks = 1 + static_cast<int>(seed % 2);
  Plan plan = training_plan(graph, layout, config, {{7, shard_of(7, 0, ranks), ranks}}, true);
  if (seed % 4 < 2) plan = fuse(std::move(plan), [](const Call&) { return true; });
  plan = insert_all_reduces(std::move(plan), layout, 500, ranks);
  const auto place = [&](Plan p) {
    return place_tensors(
        std::move(p), layout, [](const Call&) { return std::int64_t{64}; }, 2);
  };
  if (seed % 8 < 4) {
    plan = recompute(std::move(plan), [&](const Plan& p) {
      return place(p).arenas[static_cast<std::size_t>(Arena::activations)];
    });
  }
  return place(std::move(plan));
}

/// What is known to be done when step i begins: by its stream, by its waits, and by those of steps done.
std::vector<std::vector<bool>> done_before(const std::vector<StreamSlot>& slots) {
  std::vector<std::vector<bool>> done(slots.size(), std::vector<bool>(slots.size()));
  const auto take = [&](std::size_t i, std::size_t from) {
    done[i][from] = true;
    for (std::size_t k = 0; k < from; ++k) done[i][k] = done[i][k] || done[from][k];
  };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    for (std::size_t k = i; k-- > 0;) {
      if (slots[k].role != slots[i].role) continue;
      take(i, k);
      break;
    }
    if (slots[i].waits_for) take(i, *slots[i].waits_for);
  }
  return done;
}

TEST(Streams, KeepTheOrderOfCallsThatShareBytes) {
  int side = 0, unordered = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const std::string layers = RandomNetwork(seed).yaml();
    SCOPED_TRACE(layers);
    const Plan plan = placed_plan(layers, seed);
    const std::vector<StreamSlot> slots = schedule_streams(plan);
    ASSERT_EQ(slots.size(), plan.steps.size());
    const auto done = done_before(slots);
    std::vector<Accesses> accesses(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      visit_tensors(plan.steps[i].call, accesses[i]);
      side += slots[i].role == StreamRole::side ? 1 : 0;
      if (slots[i].waits_for) {
        ASSERT_LT(*slots[i].waits_for, i);
        EXPECT_NE(slots[*slots[i].waits_for].role, slots[i].role);
      }
      for (std::size_t k = 0; k < i; ++k) {
        unordered += done[i][k] ? 0 : 1;
        const Accesses &a = accesses[k], &b = accesses[i];
        const bool ordered = share_a_byte(a.written, b.read) || share_a_byte(a.read, b.written) ||
                             share_a_byte(a.written, b.written);
        ASSERT_TRUE(done[i][k] || !ordered)
            << name_of(plan.steps[k].call) << " of " << plan.steps[k].node << ", then "
            << name_of(plan.steps[i].call) << " of " << plan.steps[i].node;
      }
    }
  }
  EXPECT_GT(side, 100);
  EXPECT_GT(unordered, 1000) << "nothing runs side by side";
}

TEST(Streams, ScratchIsCountedPerLane) {
  const Plan plan = placed_plan("    - conv: {out: 4, kernel: 3}\n    - globalavgpool\n    - linear: 3\n", 0);
  EXPECT_EQ(plan.arenas[static_cast<std::size_t>(Arena::workspace)], 64);
  EXPECT_EQ(plan.arenas[static_cast<std::size_t>(Arena::side_workspace)], 64);
}

}  // namespace
}  // namespace convoy::testing
