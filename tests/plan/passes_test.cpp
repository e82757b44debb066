// Buckets and placement, each on its own.
#include "src/plan/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "src/plan/access.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class Passes : public ::testing::Test {
 protected:
  Plan plan(int ranks, int n = 8) const {
    return training_plan(graph_, layout_, config_, {{n, shard_of(n, 0, ranks), ranks}}, true);
  }
  Config config_ = tiny_config();
  Graph graph_ = build_graph(config_.model);
  Layout layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32);
};

std::vector<Tensor> summed(const Plan& plan, Arena arena) {
  std::vector<Tensor> out;
  for (const Step& step : plan.steps) {
    const auto* call = std::get_if<AllReduce>(&step.call);
    if (call && call->values.arena == arena) out.push_back(call->values);
  }
  return out;
}

TEST_F(Passes, BucketsCoverEveryGradientOnce) {
  for (const std::int64_t bytes : {1, 500, 1 << 20}) {
    const std::vector<Tensor> buckets =
        summed(insert_all_reduces(plan(2), layout_, bytes, 2), Arena::gradients);
    std::int64_t next = 0;
    for (const Tensor& bucket : buckets) {
      EXPECT_EQ(bucket.offset, next);
      next += bucket.bytes();
    }
    EXPECT_EQ(layout_.votes.offset, layout_.all_gradients.bytes());
    EXPECT_EQ(next, layout_.reduced_block.bytes()) << "votes and BatchNorm's means ride in the last one";
    if (bytes == 1) {
      EXPECT_EQ(buckets.size(), graph_.parameters.size());
    }
    if (bytes == 1 << 20) {
      EXPECT_EQ(buckets.size(), 1u);
    }
  }
}

// Two passes of half the batch: sums over ranks belong to the last, each right behind its part of their sum.
TEST_F(Passes, BucketsAreFoldedAndSummedDuringTheLastPass) {
  layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32, 2);
  std::vector<MicroBatch> passes;
  for (int p = 0; p < 2; ++p) passes.push_back({8, {4 * p, 2}, 2, 0, {4 * p, 4}, 1, p, 2 * p});
  const Plan with =
      insert_all_reduces(training_plan(graph_, layout_, config_, passes, true), layout_, 500, 2);
  std::size_t loads = 0, folds = 0;
  for (std::size_t i = 0; i < with.steps.size(); ++i) {
    loads += std::holds_alternative<Augment>(with.steps[i].call) ? 1 : 0;
    const auto* sum = std::get_if<AllReduce>(&with.steps[i].call);
    if (sum == nullptr || sum->values.arena != Arena::gradients) continue;
    EXPECT_EQ(loads, 2u);
    const auto* fold = std::get_if<Fold>(&with.steps[i - 1].call);
    ASSERT_NE(fold, nullptr);
    EXPECT_EQ(fold->y, sum->values);
    EXPECT_EQ(fold->b, in_block(layout_, sum->values, 1));
    ++folds;
  }
  EXPECT_GT(folds, 2u);
  EXPECT_EQ(summed(with, Arena::gradients).size(), folds);
}

/// A letter for each run of steps of one phase.
std::string phases_of(const Plan& plan) {
  std::string runs;
  for (const Step& step : plan.steps) {
    const char letter = "fbsu"[static_cast<int>(step.phase)];
    if (runs.empty() || runs.back() != letter) runs += letter;
  }
  return runs;
}

TEST_F(Passes, EveryStepKnowsItsPhase) {
  layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32, 2);
  std::vector<MicroBatch> passes;
  for (int p = 0; p < 3; ++p) passes.push_back({9, {3 * p, 3}, 1, 0, {3 * p, 3}, 1, p > 0 ? 1 : 0, 3 * p});
  const Plan with = training_plan(graph_, layout_, config_, passes, true);
  EXPECT_EQ(phases_of(with), "fbfbsfbsu");
  for (std::size_t i = 0; i < with.steps.size(); ++i) {
    const Call& call = with.steps[i].call;
    // The loss and its sums end forward.
    EXPECT_EQ(std::holds_alternative<AccumulateMetrics>(call),
              i + 1 < with.steps.size() && with.steps[i].phase == Phase::forward &&
                  with.steps[i + 1].phase == Phase::backward);
    EXPECT_EQ(std::holds_alternative<Fold>(call), with.steps[i].phase == Phase::sum);
    if (std::holds_alternative<ReportStep>(call)) {
      EXPECT_EQ(with.steps[i - 1].phase, Phase::sum) << "the first of the update";
    }
  }
  EXPECT_EQ(phases_of(evaluation_plan(graph_, layout_, config_, passes[0], true)), "f");

  config_.train.reproducible_across_ranks = 2;
  layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32, gradient_blocks(config_.train, 2));
  const auto shards = micro_batches(config_.train, 8, 1, 2);
  EXPECT_EQ(phases_of(training_plan(graph_, layout_, config_, shards, true)), "fbsu") << "over ranks";
}

// Whatever the first call of the update is.
TEST_F(Passes, TheUpdateBeginsWhenAllSumsAreThere) {
  Plan whole = plan(2);
  while (whole.steps.back().phase == Phase::update) {
    const Plan with = insert_all_reduces(whole, layout_, 500, 2);
    for (std::size_t i = 0; i < with.steps.size(); ++i) {
      if (with.steps[i].phase != Phase::update || with.steps[i - 1].phase == Phase::update) continue;
      EXPECT_TRUE(std::holds_alternative<Join>(with.steps[i - 1].call)) << name_of(with.steps[i].call);
      EXPECT_EQ(with.steps[i - 1].phase, Phase::sum);
    }
    const auto first = std::find_if(whole.steps.begin(), whole.steps.end(),
                                    [](const Step& step) { return step.phase == Phase::update; });
    whole.steps.erase(first);
  }
}

TEST_F(Passes, AnEvaluationKeepsItsLogits) {
  const auto no_scratch = [](const Call&) { return std::int64_t{0}; };
  for (const int lanes : {1, 2}) {
    Plan evaluation = evaluation_plan(graph_, layout_, config_, {8, {0, 8}}, true);
    const Tensor other{Arena::unplaced, DType::f32, 1 << 20, 1 << 20};  // where nothing else is needed
    evaluation.steps.push_back({Add{evaluation.logits, evaluation.logits, other}, "afterwards"});
    evaluation.steps.push_back({Add{other, other, {Arena::unplaced, DType::f32, 1 << 21, 1 << 20}}, ""});
    const Plan placed = place_tensors(std::move(evaluation), layout_, no_scratch, lanes);
    ASSERT_EQ(placed.logits.arena, Arena::activations);
    EXPECT_EQ(placed.logits.count, 8 * graph_.classes());
    bool written = false;
    for (const Step& step : placed.steps) {
      if (const auto* loss = std::get_if<SoftmaxCrossEntropy>(&step.call)) {
        EXPECT_EQ(loss->logits, placed.logits);
      }
      const Access access = access_of(step.call);
      const bool last_layer =
          std::find(access.written.begin(), access.written.end(), placed.logits) != access.written.end();
      EXPECT_FALSE(written && overlap(access.written, placed.logits)) << name_of(step.call);
      written = written || last_layer;
    }
    EXPECT_TRUE(written);
  }
  EXPECT_FALSE(plan(1).logits) << "of a training step, whose passes may share memory";
}

TEST_F(Passes, ABucketIsSummedAfterItsLastGradientAndBeforeTheOptimizer) {
  const Plan with = insert_all_reduces(plan(2), layout_, 500, 2);
  std::set<std::int64_t> written;
  bool joined = false;
  struct Writes {
    std::set<std::int64_t>& offsets;
    void reads(const Tensor&) {}
    void updates(const Tensor&) {}
    void writes(const Tensor& t) {
      if (t.arena == Arena::gradients) offsets.insert(t.offset);
    }
  };
  for (const Step& step : with.steps) {
    if (const auto* call = std::get_if<AllReduce>(&step.call);
        call && call->values.arena == Arena::gradients) {
      for (const Tensor& gradient : layout_.gradients) {
        const bool inside = gradient.offset >= call->values.offset &&
                            gradient.offset < call->values.offset + call->values.bytes();
        EXPECT_TRUE(!inside || written.contains(gradient.offset));
      }
      joined = false;
    }
    if (std::holds_alternative<Join>(step.call)) joined = true;
    EXPECT_TRUE(joined || !std::holds_alternative<OptimizerStep>(step.call));
    EXPECT_TRUE(joined || !std::holds_alternative<ReportStep>(step.call));
    visit_tensors(step.call, Writes{written});
  }
}

TEST_F(Passes, OneRankHasNoCollectives) {
  const Plan single = insert_all_reduces(plan(1), layout_, 500, 1);
  for (const Step& step : single.steps) {
    EXPECT_FALSE(std::holds_alternative<AllReduce>(step.call) || std::holds_alternative<Join>(step.call));
  }
}

TEST_F(Passes, ARankWithoutImagesMakesTheSameCollectives) {
  const auto collectives = [&](int rank) {
    Plan p = training_plan(graph_, layout_, config_, {{1, shard_of(1, rank, 3), 3}}, true);
    p = insert_all_reduces(std::move(p), layout_, 500, 3);
    std::vector<std::pair<std::int64_t, DType>> out;
    for (const Step& step : p.steps) {
      if (const auto* call = std::get_if<AllReduce>(&step.call))
        out.emplace_back(call->values.count, call->values.dtype);
    }
    return out;
  };
  EXPECT_EQ(collectives(0), collectives(2));
  EXPECT_FALSE(collectives(0).empty());
}

TEST_F(Passes, EveryProductCarriesThePrecision) {
  for (const auto& [precision, math] :
       {std::pair{Precision::fp32, Math::fp32}, {Precision::tf32, Math::tf32}}) {
    config_.train.precision = precision;
    int products = 0;
    for (const Step& step : plan(1).steps) {
      std::visit(
          [&, expected = math](const auto& call) {
            if constexpr (requires { call.math; }) {
              ++products;
              EXPECT_EQ(call.math, expected) << call.name;
            }
          },
          step.call);
    }
    EXPECT_EQ(products, 3 + 3 + 3 - 1);  // two convolutions and a linear layer; images need no gradient
  }
}

/// In 16 bits: activations and what products take; everything that sums or remembers stays in 32.
TEST_F(Passes, SixteenBitPlansKeepMasterWeightsAndSumsInFull) {
  for (const auto& [precision, type] :
       {std::pair{Precision::fp16, DType::f16}, {Precision::bf16, DType::bf16}}) {
    config_.train.precision = precision;
    layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32);
    EXPECT_EQ(layout_.loss_scale.arena == Arena::loss_scale, precision == Precision::fp16);
    int products = 0, steps = 0;
    for (const Step& step : plan(1).steps) {
      std::visit(
          [&, stored = type](const auto& call) {
            if constexpr (requires { call.w; }) {
              ++products;
              EXPECT_EQ(call.w.arena, Arena::compute_weights) << call.name;
              EXPECT_EQ(call.w.dtype, stored) << call.name;
            }
            if constexpr (requires { call.bias; }) {
              if (call.bias) {
                EXPECT_EQ(call.bias.arena, Arena::parameters) << call.name;
              }
            }
            if constexpr (requires { call.dw; }) {
              EXPECT_EQ(call.dw.dtype, DType::f32) << call.name;
            }
            if constexpr (requires { call.x.dtype; }) {
              EXPECT_EQ(call.x.dtype, stored) << call.name;
            }
            if constexpr (requires { call.dlogits; }) {
              EXPECT_EQ(call.dlogits.dtype, stored);
              EXPECT_EQ(call.loss.dtype, DType::f32);
              EXPECT_EQ(call.loss_scale, layout_.loss_scale);
            }
            if constexpr (requires { call.moments; }) {
              ++steps;
              EXPECT_EQ(call.compute_weights, layout_.compute_weights);
              EXPECT_EQ(call.loss_scale, layout_.loss_scale);
            }
          },
          step.call);
    }
    EXPECT_EQ(products, 3 + 3 - 1);  // forward and dgrad; images need none
    EXPECT_EQ(steps, 1);
  }
}

TEST_F(Passes, GradientsAreCheckedAfterTheirSumsAndBeforeTheOptimizer) {
  config_.train.precision = Precision::fp16;
  layout_ = make_layout(graph_, config_, {22, 22, 22}, DType::f32);
  std::string order;
  for (const Step& step : insert_all_reduces(plan(2), layout_, 500, 2).steps) {
    if (step.node == "optimizer") order += name_of(step.call) + ' ';
  }
  EXPECT_EQ(order, "join check_gradients sgd ");
}

TEST_F(Passes, FlopsAreThoseOfTheShapes) {
  const Plan p = plan(1);
  std::int64_t conv = 0;
  for (const Step& step : p.steps) {
    if (name_of(step.call).starts_with("conv.")) conv += flops_of(step.call);
  }
  const std::int64_t first = 2LL * 8 * 36 * 4 * 9 * 2, second = 2LL * 8 * 36 * 4 * 9 * 4;
  EXPECT_EQ(conv, 2 * first + 3 * second) << "the first layer needs no dgrad";
}

}  // namespace
}  // namespace convoy::testing
