// Each rule of fusion, on plans of small networks: where it fires, where it must not, what it leaves behind.
#include "src/plan/fusion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "src/engine/engine.h"
#include "src/plan/passes.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

bool has_all(const Call&) {
  return true;
}

/// A network's training step for `ranks` ranks, and what fusion makes of it.
class Fusion : public ::testing::Test {
 protected:
  Plan plain(const std::string& layers, int ranks = 1, const std::string& precision = "fp32") {
    config_ = parse_config(fmt::format(R"(
data: {{source: digits}}
model:
  input: [3, 8, 8]
  layers:
{}
train: {{global_batch: 8, precision: {}}}
optimizer: {{name: sgd, lr: 0.1}}
)",
                                       layers, precision),
                           "test.yaml", {});
    graph_ = build_graph(config_.model);
    layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32);
    return training_plan(graph_, layout_, config_, {{8, shard_of(8, 0, ranks), ranks}}, true);
  }
  static int count(const Plan& plan, const std::string& name) {
    int found = 0;
    for (const Step& step : plan.steps) found += name_of(step.call) == name ? 1 : 0;
    return found;
  }
  template <class C>
  static const C& first(const Plan& plan) {
    for (const Step& step : plan.steps) {
      if (const C* call = std::get_if<C>(&step.call)) return *call;
    }
    throw Error("no such call in the plan");
  }
  static std::int64_t bytes(const Plan& plan) {
    std::int64_t sum = 0;
    for (const Step& step : plan.steps) sum += bytes_of(step.call);
    return sum;
  }

  Config config_;
  Graph graph_;
  Layout layout_;
};

/// Everything read was written before (or outlives the step), and every gradient is written once.
void expect_sound(const Plan& plan, const Layout& layout) {
  struct Checker {
    std::map<std::int64_t, int> written, gradients;
    std::string call;
    void reads(const Tensor& t) const {
      if (t.arena == Arena::unplaced) {
        EXPECT_TRUE(written.contains(t.offset)) << call;
      }
    }
    void writes(const Tensor& t) {
      if (t.arena == Arena::unplaced) {
        EXPECT_EQ(++written[t.offset], 1) << call;
      }
      if (t.arena == Arena::gradients) {
        EXPECT_EQ(++gradients[t.offset], 1) << call;
      }
    }
    void updates(const Tensor& t) const { reads(t); }
  } checker;
  for (const Step& step : plan.steps) {
    checker.call = name_of(step.call);
    visit_tensors(step.call, checker);
  }
  EXPECT_EQ(checker.gradients.size(), layout.gradients.size() + 1 + layout.batch_statistics.size())
      << "each once, the votes, and what BatchNorm found";
}

const std::string lenet = R"(
    - conv: {out: 4, kernel: 3, pad: same}
    - relu
    - maxpool: 2
    - conv: {out: 8, kernel: 3, pad: same}
    - leaky_relu: 0.1
    - maxpool: 2
    - flatten
    - linear: 16
    - relu
    - linear: 3
)";
const std::string residual = R"(
    - conv: {out: 4, kernel: 3, pad: same, bias: false}
    - batchnorm
    - relu
    - residual:
        body:
          - conv: {out: 4, kernel: 3, pad: same, bias: false}
          - batchnorm
          - relu
          - conv: {out: 4, kernel: 3, pad: same, bias: false}
          - batchnorm
    - relu
    - residual:
        body:
          - conv: {out: 8, kernel: 3, stride: 2, pad: same, bias: false}
          - batchnorm
        shortcut:
          - conv: {out: 8, kernel: 1, stride: 2, bias: false}
          - batchnorm
    - relu
    - globalavgpool
    - linear: 3
)";

TEST_F(Fusion, KeepsPhases) {
  for (const std::string& layers : {lenet, residual}) {
    const Plan after = fuse(plain(layers), has_all);
    EXPECT_TRUE(std::is_sorted(after.steps.begin(), after.steps.end(),
                               [](const Step& a, const Step& b) { return a.phase < b.phase; }));
    for (const Step& step : after.steps) {
      if (name_of(step.call).find("dgrad") != std::string::npos) {
        EXPECT_EQ(step.phase, Phase::backward);
      }
    }
  }
}

TEST_F(Fusion, LeNetKeepsNoActivationOfItsOwn) {
  const Plan before = plain(lenet), after = fuse(before, has_all);
  expect_sound(after, layout_);
  EXPECT_EQ(count(after, "activation.fprop"), 0);
  EXPECT_EQ(count(after, "activation.dgrad"), 0);
  EXPECT_EQ(count(after, "conv.fprop+act"), 2);
  EXPECT_EQ(count(after, "linear.fprop+act"), 1);
  EXPECT_EQ(count(after, "linear.fprop"), 1) << "the logits";
  EXPECT_EQ(count(after, "maxpool.dgrad+act"), 2);
  EXPECT_EQ(count(after, "act.dgrad+bias.grad"), 1);
  EXPECT_EQ(count(after, "bias.grad"), 1) << "of the logits";
  EXPECT_EQ(after.steps.size(), before.steps.size() - 3 - 2 * 2 - 1);
  EXPECT_LT(bytes(after), bytes(before));
  EXPECT_EQ(after.steps[1].node, "0+1");
  EXPECT_EQ(first<ConvActivation>(after).activation.slope, 0.0f);
}

TEST_F(Fusion, ResidualNetworksFuseNormalisationSumAndActivation) {
  for (const int ranks : {1, 2}) {
    const Plan before = plain(residual, ranks), after = fuse(before, has_all);
    expect_sound(after, layout_);
    EXPECT_EQ(count(after, "activation.fprop"), 0);
    EXPECT_EQ(count(after, "activation.dgrad"), 0);
    EXPECT_EQ(count(after, "batchnorm.fprop+act"), 4);
    EXPECT_EQ(count(after, "batchnorm.fprop"), 1) << "one branch ends in a sum that the other computes";
    EXPECT_EQ(count(after, "batchnorm.reduce+act"), 2);
    EXPECT_EQ(count(after, "batchnorm.dgrad+act"), 2);
    EXPECT_EQ(count(after, "act.dgrad+bn.reduce"), 2) << "the shortcut wants the masked gradient as well";
    EXPECT_EQ(count(after, "batchnorm.reduce"), 1);
    EXPECT_EQ(count(after, "add"), 1) << "the gradients that meet before the first block";
    EXPECT_LT(bytes(after), bytes(before));
    int sums = 0;
    for (const Step& step : after.steps) {
      const auto* call = std::get_if<BatchNormActivation>(&step.call);
      sums += call != nullptr && call->residual ? 1 : 0;
    }
    EXPECT_EQ(sums, 2);
  }
}

/// Channels in eights, but for the first layer; 64 and 16 pixels.
const std::string eights = R"(
    - conv: {out: 8, kernel: 3, pad: same, bias: false}
    - batchnorm
    - relu
    - residual:
        body:
          - conv: {out: 8, kernel: 3, pad: same}
          - batchnorm
    - relu
    - conv: {out: 16, kernel: 3, stride: 2, pad: same, bias: false}
    - batchnorm: {group: 4}
    - conv: {out: 16, kernel: 3, pad: same, bias: false}
    - batchnorm: {group: 3}
    - conv: {out: 12, kernel: 1}
    - batchnorm
    - globalavgpool
    - linear: 3
)";

TEST_F(Fusion, ConvolutionsOfEightsTakeStatisticsAlong) {
  for (const char* precision : {"fp16", "bf16"}) {
    const Plan before = plain(eights, 1, precision), after = fuse(before, has_all);
    expect_sound(after, layout_);
    EXPECT_EQ(count(after, "conv.fprop+bn.stats"), 2);
    EXPECT_EQ(count(after, "conv.fprop"), 3) << "of 3 channels, of 12 filters, and with groups of 48 pixels";
    EXPECT_EQ(count(after, "batchnorm.statistics"), 3);
    EXPECT_EQ(count(after, "batchnorm.moments"), 3);
    EXPECT_LT(bytes(after), bytes(before));
  }
  EXPECT_EQ(count(fuse(plain(eights), has_all), "conv.fprop+bn.stats"), 0) << "in 32 bits";
  plain(eights, 1, "fp16");
  const Plan evaluation = evaluation_plan(graph_, layout_, config_, {8, shard_of(8, 0, 1), 1}, true);
  EXPECT_EQ(count(fuse(evaluation, has_all), "conv.fprop+bn.stats"), 0);
}

TEST_F(Fusion, MomentsWaitForTheSumsOfAllRanks) {
  const Plan after = fuse(plain(eights, 2, "fp16"), has_all);
  expect_sound(after, layout_);
  EXPECT_EQ(count(after, "conv.fprop+bn.stats"), 2);
  EXPECT_EQ(count(after, "batchnorm.moments"), 4) << "all but of the groups of four, a shard each";
  EXPECT_FALSE(first<ConvStatistics>(after).mean);
}

TEST_F(Fusion, StatisticsOfAConvolutionAreThoseOfItsOutput) {
  const Plan before = plain(eights, 1, "fp16");
  Plan plan = before;
  ASSERT_TRUE(fuse_statistics_into_convolution(plan, has_all));
  ASSERT_TRUE(fuse_moments_into_statistics(plan, has_all));
  const auto& fused = first<ConvStatistics>(plan);
  EXPECT_EQ(plan.steps.size(), before.steps.size() - 2);
  std::optional<BatchNormStatistics> statistics;
  for (const Step& step : before.steps) {
    const auto* call = std::get_if<BatchNormStatistics>(&step.call);
    if (call != nullptr && call->x == fused.plain.y) statistics = *call;
  }
  ASSERT_TRUE(statistics);
  EXPECT_EQ(fused.sums, statistics->sums);
  EXPECT_EQ(bytes_of(fused), bytes_of(fused.plain) + fused.sums.bytes() + fused.mean.bytes() +
                                 fused.inv_std.bytes() + 2 * fused.batch_mean.bytes());
  // Somebody writes y between the two.
  Plan written = before;
  for (std::size_t i = 0; i < written.steps.size(); ++i) {
    const auto* call = std::get_if<BatchNormStatistics>(&written.steps[i].call);
    if (call == nullptr || call->x != fused.plain.y) continue;
    written.steps.insert(written.steps.begin() + static_cast<std::ptrdiff_t>(i),
                         {Add{call->x, call->x, call->x}, "another writer"});
    break;
  }
  EXPECT_EQ(count(fuse(written, has_all, {fuse_statistics_into_convolution}), "conv.fprop+bn.stats"), 1);
}

TEST_F(Fusion, EvaluationFusesToo) {
  plain(residual);
  const Plan after =
      fuse(evaluation_plan(graph_, layout_, config_, {8, shard_of(8, 0, 1), 1}, true), has_all);
  EXPECT_EQ(count(after, "batchnorm.infer+act"), 4);
  EXPECT_EQ(count(after, "activation.fprop"), 0);
}

TEST_F(Fusion, LeavesThePlanOfAnEngineWithoutSuchCalls) {
  for (const std::string& layers : {lenet, residual}) {
    const Plan before = plain(layers);
    const auto engine = make_engine(EngineKind::cpu, RankEnvironment::alone());
    const Plan after = fuse(before, [&](const Call& call) { return engine->has(call); });
    ASSERT_EQ(after.steps.size(), before.steps.size());
    for (std::size_t i = 0; i < before.steps.size(); ++i) {
      EXPECT_EQ(name_of(after.steps[i].call), name_of(before.steps[i].call));
    }
  }
}

TEST_F(Fusion, GeluAndTanhStay) {
  const std::string layers = R"(
    - conv: {out: 4, kernel: 3}
    - gelu
    - maxpool: 2
    - flatten
    - linear: 16
    - tanh
    - linear: 3
)";
  const Plan before = plain(layers), after = fuse(before, has_all);
  EXPECT_EQ(after.steps.size(), before.steps.size());
}

/// Appends a call that reads a tensor, so that it has to be in memory.
void also_read(Plan& plan, const Tensor& tensor) {
  const Tensor copy{Arena::unplaced, tensor.dtype, 1 << 20, tensor.count};
  plan.steps.push_back({Add{tensor, tensor, copy}, "another reader"});
}

TEST_F(Fusion, AProductWithAnotherReaderStays) {
  Plan plan = plain(lenet);
  also_read(plan, first<ConvForward>(plan).y);
  const Plan after = fuse(plan, has_all, {fuse_activation_into_product});
  EXPECT_EQ(count(after, "conv.fprop+act"), 1) << "the other convolution";
  EXPECT_EQ(count(after, "conv.fprop"), 1);
}

TEST_F(Fusion, ANormalisationWithAnotherReaderStays) {
  Plan plan = plain(residual);
  also_read(plan, first<BatchNormForward>(plan).y);
  also_read(plan, first<Add>(plan).y);
  const Plan after = fuse(plan, has_all, {fuse_activation_into_batchnorm});
  EXPECT_EQ(count(after, "batchnorm.fprop+act"), 2);
  EXPECT_EQ(count(after, "add"), 3 + 2) << "one sum of branches, two of gradients, two readers";
}

TEST_F(Fusion, APoolingsGradientWithAnotherReaderStays) {
  Plan plan = plain(lenet);
  also_read(plan, first<MaxPoolBackward>(plan).dx);
  const Plan after = fuse(plan, has_all, {fuse_activation_into_maxpool_backward});
  EXPECT_EQ(count(after, "maxpool.dgrad+act"), 1);
  EXPECT_EQ(count(after, "maxpool.dgrad"), 1);
  const auto& fused = first<MaxPoolActivationBackward>(after);
  EXPECT_EQ(fused.y, first<MaxPoolForward>(after).y) << "the pooled values stand for the winners";
}

TEST_F(Fusion, AMaskedGradientWithAnotherReaderIsWritten) {
  const std::string layers = R"(
    - conv: {out: 4, kernel: 3, pad: same, bias: false}
    - batchnorm
    - relu
    - conv: {out: 4, kernel: 3, pad: same}
    - globalavgpool
    - linear: 3
)";
  const std::vector<FusionRule> rules{fuse_activation_into_batchnorm,
                                      fuse_activation_into_batchnorm_backward};
  Plan plan = plain(layers);
  EXPECT_EQ(count(fuse(plan, has_all, rules), "batchnorm.reduce+act"), 1);
  also_read(plan, first<ActivationBackward>(plan).dx);
  const Plan after = fuse(plan, has_all, rules);
  expect_sound(after, layout_);
  EXPECT_EQ(count(after, "batchnorm.reduce+act"), 0);
  EXPECT_EQ(count(after, "act.dgrad+bn.reduce"), 1);
}

TEST_F(Fusion, ASumOfGradientsWithAnotherReaderStays) {
  Plan plan = plain(residual);
  std::vector<Add> sums;
  for (const Step& step : plan.steps) {
    if (const auto* sum = std::get_if<Add>(&step.call)) sums.push_back(*sum);
  }
  ASSERT_EQ(sums.size(), 4u) << "two of branches, two of their gradients";
  also_read(plan, sums[2].y);
  const Plan after = fuse(plan, has_all);
  expect_sound(after, layout_);
  EXPECT_EQ(count(after, "add"), 2 + 1) << "both sums of gradients, and the reader";
}

TEST_F(Fusion, ABiasGradientBehindOverlappingWindowsIsSummedAsBefore) {
  const std::string layers = R"(
    - conv: {out: 4, kernel: 3, pad: same}
    - relu
    - maxpool: {kernel: 3, stride: 2, pad: 1}
    - flatten
    - linear: 3
)";
  const Plan after = fuse(plain(layers), has_all);
  EXPECT_EQ(count(after, "maxpool.dgrad+act"), 1);
  EXPECT_FALSE(first<MaxPoolActivationBackward>(after).db);
  EXPECT_EQ(count(after, "bias.grad"), 2);
}

TEST_F(Fusion, ABiasGradientIsTakenAlongOnlyWhereItsTermsAreComputed) {
  Plan plan = plain(lenet);
  const Plan after = fuse(plan, has_all, {fuse_bias_gradient});
  expect_sound(after, layout_);
  EXPECT_EQ(count(after, "act.dgrad+bias.grad"), 3) << "without the pooling's rule, every activation's";
  EXPECT_EQ(count(after, "bias.grad"), 1);
}

TEST_F(Fusion, CallsDoNotPassOneThatMinds) {
  Plan plan = plain(lenet);
  // Something between the convolution and its activation writes the weights.
  const auto& conv = first<ConvForward>(plan);
  const Add update{conv.w, conv.w, conv.w};
  plan.steps.insert(plan.steps.begin() + 2, {update, "weights"});
  EXPECT_EQ(count(fuse(plan, has_all, {fuse_activation_into_product}), "conv.fprop+act"), 1);
}

TEST_F(Fusion, BytesAndFlopsAreThoseOfThePass) {
  const Plan after = fuse(plain(lenet), has_all);
  const auto& conv = first<ConvActivation>(after);
  EXPECT_EQ(flops_of(conv), conv.plain.shape.flops() + conv.plain.y.count);
  EXPECT_EQ(bytes_of(conv), 4 * (8 * 64 * 3 + 4 * 27 + 4 + 8 * 64 * 4));
  // (8,4,4,8) before the pooling, (8,2,2,8) behind it: dy, y and a byte per tap; dx; db.
  const std::int64_t pooled = 8 * 4 * 8, before = 8 * 16 * 8;
  EXPECT_EQ(bytes_of(first<MaxPoolActivationBackward>(after)), pooled * (4 + 4 + 1) + before * 4 + 8 * 4);
}

}  // namespace
}  // namespace convoy::testing
