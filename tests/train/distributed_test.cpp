// What must not depend on the number of ranks. Started by mpirun with 2, 3 and 4 of them; each rank computes
// the single-rank result too and compares.
#include <gtest/gtest.h>

#include <cmath>

#include "src/engine/tensor_values.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class Distributed : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  static std::unique_ptr<Session> session(const Config& config, const Dataset& data,
                                          const RankEnvironment& environment) {
    return std::make_unique<Session>(config, data, make_engine(GetParam(), environment), environment);
  }
  static double tolerance() { return GetParam() == EngineKind::reference_f64 ? 1e-12 : 2e-5; }
};

// 17 images in batches of 8: the last batch has one image, so most ranks have none.
TEST_P(Distributed, TrainTheWeightsOfOneRank) {
  const Config config = tiny_config();
  const Dataset data = tiny_data(17, 5);
  const RankEnvironment alone = RankEnvironment::alone();
  const auto single = session(config, data, alone);
  const auto several = session(config, data, ranks());
  for (Session* s : {single.get(), several.get()}) {
    s->initialize();
    train_epochs(*s, config, 1, 2);
  }
  EXPECT_LT(largest_difference(weights_of(*single), weights_of(*several)), tolerance());
}

// The labels of a batch weigh differently on each rank, and images of small classes come several times.
TEST_P(Distributed, TrainTheWeightsOfOneRankOnUnevenClasses) {
  Dataset data = tiny_data(17, 5);
  for (std::size_t i = 0; i < 17; ++i) data.labels[i] = i < 2 ? 0 : i < 5 ? 1 : 2;
  const RankEnvironment alone = RankEnvironment::alone();
  for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
           {"train.class_weights=balanced", "train.loss=focal"},
           {"train.class_weights=[2, 1, 0.5]", "data.augment=[{crop: 1}, {mixup: 0.4}]"},
           {"data.balance=true"},
           {"data.balance=true", "data.resident=false"}}) {
    const Config config = tiny_config(overrides);
    const auto single = session(config, data, alone), several = session(config, data, ranks());
    for (Session* s : {single.get(), several.get()}) {
      s->initialize();
      train_epochs(*s, config, 1, 2);
    }
    EXPECT_EQ(single->order(), several->order());
    EXPECT_LT(largest_difference(weights_of(*single), weights_of(*several)), tolerance()) << overrides[0];
  }
}

// A step with gradients of 16 bits: near the one with 32, not the same, and the same on every rank.
TEST_P(Distributed, TakeNearlyTheSameStepWithRoundedGradients) {
  std::vector<std::vector<double>> weights;
  std::vector<double> initial;
  for (const char* type : {"fp32", "bf16"}) {
    const Config config = tiny_config({fmt::format("distributed.gradient_dtype={}", type)});
    const auto several = session(config, tiny_data(8, 5), ranks());
    several->initialize();
    initial = weights_of(*several);
    train_epochs(*several, config, 1, 1);
    weights.push_back(weights_of(*several));
  }
  std::vector<double> root = weights[1];
  ranks().broadcast(root.data(), root.size() * sizeof(double));
  EXPECT_EQ(weights[1], root);
  const double apart = largest_difference(weights[0], weights[1]) / largest_difference(initial, weights[0]);
  EXPECT_GT(apart, 1e-5);
  EXPECT_LT(apart, 0.02);  // a few roundings of 2^-9
}

TEST_P(Distributed, HoldTheSameBits) {
  const Config config = tiny_config();
  const auto several = session(config, tiny_data(17, 5), ranks());
  several->initialize();
  train_epochs(*several, config, 1, 2);
  const std::vector<double> mine = weights_of(*several);
  std::vector<double> root = mine;
  ranks().broadcast(root.data(), root.size() * sizeof(double));
  EXPECT_EQ(mine, root);
}

// Of the short batch, most ranks stage nothing.
TEST_P(Distributed, TrainTheSameBitsOnStagedData) {
  std::vector<std::vector<double>> weights;
  for (const char* resident : {"true", "false"}) {
    const Config config = tiny_config({fmt::format("data.resident={}", resident)});
    const auto several = session(config, tiny_data(17, 5), ranks());
    several->initialize();
    train_epochs(*several, config, 1, 2);
    weights.push_back(weights_of(*several));
  }
  EXPECT_EQ(weights[0], weights[1]);
}

TEST_P(Distributed, CountEveryValidationImageOnce) {
  const Config config = tiny_config();
  const Dataset data = tiny_data(17, 29);
  const RankEnvironment alone = RankEnvironment::alone();
  const auto single = session(config, data, alone);
  const auto several = session(config, data, ranks());
  for (Session* s : {single.get(), several.get()}) s->initialize();
  const Metrics expected = single->evaluate(), got = several->evaluate();
  EXPECT_EQ(got.count, 29);
  EXPECT_EQ(got.correct, expected.correct);
  EXPECT_NEAR(got.loss(), expected.loss(), tolerance());
}

/// One training step by hand, with or without the sums over ranks in its plan.
std::vector<double> weights_after_a_step(EngineKind kind, const Dataset& data, bool with_sums) {
  const Config config = tiny_config();
  const Graph graph = build_graph(config.model);
  const std::unique_ptr<Engine> engine = make_engine(kind, ranks());
  PlanSet plans = make_plans(graph, config, sample_counts(data), *engine, ranks());
  Plan plan = plans.training.at(8);
  if (!with_sums) {
    std::erase_if(plan.steps, [](const Step& step) {
      return std::holds_alternative<AllReduce>(step.call) || std::holds_alternative<Join>(step.call);
    });
  }
  engine->allocate(plans.arenas);
  const int handle = engine->load(plan);
  for (const Constant& constant : plans.layout.constants)
    write_values(*engine, constant.tensor, constant.values);
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    const auto values = initial_value(graph.parameters[i], config.seed);
    write_values(*engine, plans.layout.parameters[i], {values.begin(), values.end()});
  }
  engine->write(plans.layout.images, data.images.data());
  engine->write(plans.layout.labels, data.labels.data());
  std::vector<std::int32_t> order = data.train;
  order.insert(order.end(), data.validation.begin(), data.validation.end());
  engine->write(plans.layout.order, order.data());
  StepState state;
  state.learning_rate = 0.1f;
  engine->run(handle, state);
  return read_values(*engine, plans.layout.all_parameters);
}

// Shows that the comparisons above can fail: without the sums, ranks drift apart at once.
TEST_P(Distributed, DriftApartWithoutTheAllReduce) {
  const Dataset data = tiny_data(17, 5);
  for (const bool with_sums : {true, false}) {
    const std::vector<double> mine = weights_after_a_step(GetParam(), data, with_sums);
    std::vector<double> root = mine;
    ranks().broadcast(root.data(), root.size() * sizeof(double));
    const double apart =
        static_cast<double>(ranks().max(largest_difference(mine, root) > tolerance() ? 1 : 0));
    EXPECT_EQ(apart, with_sums ? 0 : 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Distributed,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
