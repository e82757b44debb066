// Recomputation: backward reads the same values as before, some of them from copies, in less memory.
#include "src/plan/recompute.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "src/plan/access.h"
#include "src/plan/fusion.h"
#include "src/plan/passes.h"
#include "tests/plan/random_network.h"
#include "tests/source_dir.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

bool has_all(const Call&) {
  return true;
}
bool is_repeated(const Step& step) {
  return step.node.ends_with(" again");
}
std::int64_t activation_bytes(const Plan& plan, const Layout& layout, int streams) {
  const auto no_scratch = [](const Call&) { return std::int64_t{0}; };
  return place_tensors(plan, layout, no_scratch, streams)
      .arenas[static_cast<std::size_t>(Arena::activations)];
}

struct Case {
  explicit Case(const Config& settings, bool fused, int ranks = 1, int n = 8)
      : config(settings),
        graph(build_graph(config.model)),
        layout(make_layout(graph, config, {2 * n, 2 * n, 2 * n}, DType::f32)),
        batch{n, shard_of(n, 0, ranks), ranks} {
    plan = training_plan(graph, layout, config, {batch}, true);
    if (fused) plan = fuse(std::move(plan), has_all);
    plan = insert_all_reduces(std::move(plan), layout, 500, ranks);
  }
  Plan recomputed(int streams = 1) const {
    return recompute(plan, [&](const Plan& p) { return activation_bytes(p, layout, streams); });
  }
  Config config;
  Graph graph;
  Layout layout;
  MicroBatch batch;
  Plan plan;
};

Config network(const std::string& layers, const std::string& precision = "fp32") {
  return parse_config(fmt::format("data: {{source: digits}}\nmodel:\n  input: [3, 8, 8]\n  layers:\n{}"
                                  "train: {{global_batch: 8, precision: {}}}\n"
                                  "optimizer: {{name: sgd, lr: 0.1}}\n",
                                  layers, precision),
                      "recompute.yaml", {});
}

/// What a plan computes, on paper: a tensor's value is a hash of the call that wrote it and of what that
/// read.
class Values {
 public:
  /// The values that the step reads, in order.
  std::vector<std::size_t> run(const Step& step) {
    const Access access = access_of(step.call);
    std::vector<std::size_t> read;
    std::string formula = name_of(step.call) + ' ' + describe(step.call);
    for (const Tensor& t : access.read) {
      const auto found = values_.find(key(t));
      if (t.arena == Arena::unplaced) {
        EXPECT_NE(found, values_.end()) << step.node << ' ' << formula << " reads what nobody wrote";
      }
      read.push_back(found == values_.end() ? 0 : found->second);
      formula += ' ' + std::to_string(read.back());
    }
    for (std::size_t i = 0; i < access.written.size(); ++i) {
      if (access.written[i].arena == Arena::unplaced && !overlap(access.read, access.written[i])) {
        EXPECT_FALSE(values_.contains(key(access.written[i]))) << step.node << " writes for the second time";
      }
      values_[key(access.written[i])] = std::hash<std::string>{}(formula + " > " + std::to_string(i));
    }
    return read;
  }

 private:
  using Key = std::pair<Arena, std::int64_t>;
  static Key key(const Tensor& t) { return {t.arena, t.offset}; }
  std::map<Key, std::size_t> values_;
};

TEST(Recompute, EveryCallReadsTheValuesItReadBefore) {
  int repeated = 0, reduced = 0;
  std::set<std::string> kinds;
  for (unsigned seed = 0; seed < 150; ++seed) {
    const std::string layers = RandomNetwork(seed).yaml();
    SCOPED_TRACE(layers);
    const int streams = 1 + static_cast<int>(seed % 2);
    const Case c(network(layers, seed % 2 == 0 ? "fp32" : "fp16"), seed % 4 < 2,
                 1 + static_cast<int>(seed % 3));
    const Plan after = c.recomputed(streams);
    Values values_before, values_after;
    std::size_t next = 0;
    for (const Step& step : after.steps) {
      const std::vector<std::size_t> read = values_after.run(step);
      if (is_repeated(step)) {
        ++repeated;
        EXPECT_EQ(step.phase, Phase::backward);
        kinds.insert(name_of(step.call));
        continue;
      }
      ASSERT_LT(next, c.plan.steps.size());
      const Step& same = c.plan.steps[next++];
      ASSERT_EQ(name_of(step.call), name_of(same.call));
      EXPECT_EQ(step.phase, same.phase);
      EXPECT_EQ(read, values_before.run(same)) << name_of(step.call) << " of " << step.node;
    }
    EXPECT_EQ(next, c.plan.steps.size());
    const std::int64_t bytes = activation_bytes(c.plan, c.layout, streams);
    const std::int64_t bytes_after = activation_bytes(after, c.layout, streams);
    EXPECT_LE(bytes_after, bytes);
    EXPECT_EQ(bytes_after<bytes, after.steps.size()> c.plan.steps.size()) << "no call for nothing";
    reduced += bytes_after < bytes ? 1 : 0;
    if (HasFailure()) return;
  }
  EXPECT_GT(repeated, 100);
  EXPECT_GT(reduced, 50);
  for (const char* kind :
       {"batchnorm.fprop", "batchnorm.fprop+act", "activation.fprop", "add", "maxpool.fprop", "dropout"}) {
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  }
  EXPECT_LE(kinds.size(), 7u) << "and avgpool.fprop, but no product";
}

TEST(Recompute, LowersTheMemoryOfResNet18InHalf) {
  const Config config =
      load_config(CONVOY_SOURCE_DIR "/configs/cifar10_resnet18.yaml", {"train.precision=fp16"});
  const Case c(config, true, 1, config.train.global_batch);
  const Plan after = c.recomputed(2);
  constexpr std::int64_t mib = 1 << 20;
  EXPECT_GT(activation_bytes(c.plan, c.layout, 2), 1150 * mib);
  EXPECT_LT(activation_bytes(after, c.layout, 2), 810 * mib);
  std::int64_t moved = 0, more = 0;
  for (const Step& step : after.steps) (is_repeated(step) ? more : moved) += bytes_of(step.call);
  EXPECT_LT(more, moved / 8) << "memory is not bought with too much time";
}

TEST(Recompute, TakesALargeTensorBeforeSmallOnes) {
  const Case c(network("    - conv: {out: 4, kernel: 3, pad: same}\n    - batchnorm\n    - relu\n"
                       "    - conv: {out: 16, kernel: 3, pad: same}\n    - batchnorm\n    - relu\n"
                       "    - conv: {out: 4, kernel: 3, pad: same}\n    - globalavgpool\n    - linear: 3\n"),
               true);
  std::vector<std::int64_t> tried;
  const Plan after = recompute(c.plan, [&](const Plan& p) {
    std::int64_t bytes = 1000;  // falls once, with the first tensor that is tried
    for (const Step& step : p.steps) {
      if (!is_repeated(step)) continue;
      tried.push_back(access_of(step.call).written.front().count);
      bytes = 500;
    }
    return bytes;
  });
  ASSERT_FALSE(tried.empty());
  EXPECT_EQ(tried.front(), 8 * 64 * 16);
  EXPECT_EQ(after.steps.size(), c.plan.steps.size() + 1) << "what lowers nothing is left as it is";
}

const char* const normalised =
    "    - conv: {out: 8, kernel: 3, pad: same}\n    - batchnorm\n    - relu\n"
    "    - conv: {out: 8, kernel: 3, pad: same}\n    - batchnorm\n    - relu\n"
    "    - conv: {out: 8, kernel: 3, pad: same}\n    - globalavgpool\n    - linear: 3\n";

std::vector<std::string> repeated_calls(const Plan& plan) {
  std::vector<std::string> names;
  for (const Step& step : plan.steps)
    if (is_repeated(step)) names.push_back(name_of(step.call));
  return names;
}

TEST(Recompute, AnActivationIsRepeatedFromWhatItsNormalisationKeeps) {
  const std::vector<std::string> both{"batchnorm.fprop", "activation.fprop"};
  const std::vector<std::string> calls = repeated_calls(Case(network(normalised), false).recomputed());
  ASSERT_GE(calls.size(), 2u);
  for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i], both[i % 2]);
}

TEST(Recompute, WhatIsComputedFromAChangedTensorIsKept) {
  Case c(network(normalised), true);
  const auto normalisations = [&] {
    const std::vector<std::string> calls = repeated_calls(c.recomputed());
    return std::count(calls.begin(), calls.end(), "batchnorm.fprop+act");
  };
  EXPECT_GT(normalisations(), 0);
  const Tensor scales = c.layout.all_parameters;
  const auto loss = std::find_if(c.plan.steps.begin(), c.plan.steps.end(), [](const Step& step) {
    return std::holds_alternative<SoftmaxCrossEntropy>(step.call);
  });
  c.plan.steps.insert(loss, Step{Add{scales, scales, scales}, "writes gamma and beta"});
  EXPECT_EQ(normalisations(), 0);
}

TEST(Recompute, AFirstPoolingsArgmaxIsKept) {
  const Case c(network("    - conv: {out: 4, kernel: 3, pad: same}\n    - tanh\n    - maxpool: 2\n"
                       "    - conv: {out: 4, kernel: 3, pad: same}\n    - globalavgpool\n    - linear: 3\n"),
               false);
  // A plan is the smaller, the more of it is repeated: everything is.
  const Plan after =
      recompute(c.plan, [](const Plan& p) { return 1000 - static_cast<std::int64_t>(p.steps.size()); });
  int poolings = 0;
  for (const Step& step : after.steps) {
    const auto* pooling = std::get_if<MaxPoolForward>(&step.call);
    if (pooling == nullptr) continue;
    ++poolings;
    EXPECT_EQ(static_cast<bool>(pooling->argmax), !is_repeated(step));
  }
  EXPECT_EQ(poolings, 2);
}

TEST(Recompute, LeavesAPlanWithoutBackward) {
  const Case c(network("    - conv: {out: 4, kernel: 3}\n    - relu\n    - globalavgpool\n    - linear: 3\n"),
               true);
  const Plan evaluation = evaluation_plan(c.graph, c.layout, c.config, c.batch, true);
  const Plan after =
      recompute(evaluation, [](const Plan& p) { return 1000 - static_cast<std::int64_t>(p.steps.size()); });
  EXPECT_EQ(after.steps.size(), evaluation.steps.size());
}

}  // namespace
}  // namespace convoy::testing
