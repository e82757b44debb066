// Training with every update rule there is.
#include <algorithm>
#include <set>
#include <tuple>

#include "src/plan/passes.h"
#include "tests/rules.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

Config config_with(const OptimizerRule& rule) {
  Config config = tiny_config();
  config.optimizer.rule = rule;
  config.optimizer.lr = 0.01f;
  return config;
}

class OptimizerPlans : public ::testing::TestWithParam<NamedRule> {};

TEST_P(OptimizerPlans, EveryMomentHasABlockOfItsOwn) {
  const Config config = config_with(GetParam().rule);
  const Graph graph = build_graph(config.model);
  const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
  std::vector<OptimizerStep> steps;
  for (const Step& step : update_plan(layout, config).steps)
    if (const auto* call = std::get_if<OptimizerStep>(&step.call)) steps.push_back(*call);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].rule, config.optimizer.rule);
  EXPECT_STREQ(steps[0].name(), name_of(config.optimizer.rule));
  ASSERT_EQ(steps[0].moments.size(), moments_of(config.optimizer.rule).size());
  std::set<std::int64_t> offsets;
  for (const Tensor& moment : steps[0].moments) {
    EXPECT_EQ(moment.arena, Arena::moments);
    EXPECT_EQ(moment.count, layout.all_parameters.count);
    EXPECT_TRUE(offsets.insert(moment.offset).second) << "two moments in one place";
  }
}

// Of each stage, which names its own parameters.
TEST(OptimizerPlans, OfLambMeasureEveryParameterBeforeTheStep) {
  Config config = tiny_config({"train.freeze=[{match: \"0\", epochs: 1}]"});
  config.optimizer.rule = Lamb{};
  const Graph graph = build_graph(config.model);
  const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
  ASSERT_EQ(layout.stages.size(), 2u);
  std::vector<TrustRatios> measured;
  std::vector<OptimizerStep> steps;
  for (const Step& step : update_plan(layout, config, {}, 1).steps) {
    if (const auto* call = std::get_if<TrustRatios>(&step.call)) measured.push_back(*call);
    if (const auto* call = std::get_if<OptimizerStep>(&step.call)) steps.push_back(*call);
    EXPECT_GE(measured.size(), steps.size());
  }
  ASSERT_EQ(measured.size(), 2u);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(measured[0].ends.count + measured[1].ends.count, std::ssize(graph.parameters));
  EXPECT_EQ(measured[1].ends.count, 2) << "weight and bias of the first layer";
  const std::vector<double>& ends =
      std::find_if(layout.constants.begin(), layout.constants.end(), [&](const Constant& constant) {
        return constant.tensor == layout.parameter_ends;
      })->values;
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(steps[i].rates, measured[i].ratios);
    EXPECT_EQ(measured[i].first_run * parameter_alignment, layout.stages[i].begin);
    const auto last = layout.stages[i].first_parameter + layout.stages[i].parameters - 1;
    EXPECT_EQ(ends[static_cast<std::size_t>(last)] * parameter_alignment,
              static_cast<double>(layout.stages[i].end));
  }
  EXPECT_NE(measured[0].ratios, measured[1].ratios);
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerPlans, ::testing::ValuesIn(all_named_rules()),
                         [](const auto& instance) { return instance.param.name; });

class Optimizers : public ::testing::TestWithParam<std::tuple<NamedRule, EngineKind>> {
 protected:
  Session session() const {
    return {config_, tiny_data(16, 4), make_engine(std::get<1>(GetParam()), alone_), alone_};
  }
  void SetUp() override {
    if (std::get<1>(GetParam()) == EngineKind::cuda && cuda_device_count() == 0)
      GTEST_SKIP() << "no CUDA device";
  }
  RankEnvironment alone_ = RankEnvironment::alone();
  const Config config_ = config_with(std::get<0>(GetParam()).rule);
};

TEST_P(Optimizers, ACheckpointHasAllThatTheNextStepNeeds) {
  const TemporaryFolder folder;
  Session whole = session();
  whole.initialize();
  const std::vector<double> initial = weights_of(whole);
  train_epochs(whole, config_, 1, 1);
  Snapshot snapshot(whole);
  snapshot.take({});
  snapshot.write(folder.path() / "x.safetensors", to_yaml(config_));
  const std::vector<double> half_way = weights_of(whole);
  train_epochs(whole, config_, 2, 1);
  EXPECT_NE(half_way, initial);
  EXPECT_NE(weights_of(whole), half_way);

  const std::string bytes = read_file(folder.path() / "x.safetensors");
  const TensorFile file = from_safetensors(bytes, "x");
  Session resumed = session();
  resumed.initialize();
  restore_checkpoint(resumed, file, "x", true);
  EXPECT_EQ(weights_of(resumed), half_way);
  train_epochs(resumed, config_, 2, 1);
  EXPECT_EQ(weights_of(resumed), weights_of(whole));
}

INSTANTIATE_TEST_SUITE_P(All, Optimizers,
                         ::testing::Combine(::testing::ValuesIn(all_named_rules()),
                                            ::testing::Values(EngineKind::reference_f32, EngineKind::cpu,
                                                              EngineKind::cuda)),
                         [](const auto& instance) {
                           const int engine = static_cast<int>(std::get<1>(instance.param));
                           return fmt::format("{}_engine_{}", std::get<0>(instance.param).name, engine);
                         });

/// Those of the first parameter.
std::vector<std::string> names_of_moments(const OptimizerRule& rule) {
  const RankEnvironment alone = RankEnvironment::alone();
  const Session session(config_with(rule), tiny_data(16, 4), make_engine(EngineKind::cpu, alone), alone);
  std::vector<std::string> names;
  for (const NamedTensor& tensor : session.named_tensors(true))
    if (tensor.name.starts_with("optimizer.") && tensor.name.ends_with(".0.weight") &&
        std::count(tensor.name.begin(), tensor.name.end(), '.') == 3)
      names.push_back(tensor.name);
  return names;
}

// Files of earlier versions have these.
TEST(OptimizerMoments, KeepTheirNamesInFiles) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names_of_moments(Sgd{}), Names{});
  EXPECT_EQ(names_of_moments(Sgd{.momentum = 0.9f}), Names{"optimizer.velocity.0.weight"});
  for (const bool decoupled : {false, true}) {
    EXPECT_EQ(names_of_moments(Adam{.decoupled = decoupled}),
              (Names{"optimizer.mean.0.weight", "optimizer.variance.0.weight"}));
  }
  EXPECT_EQ(names_of_moments(RmsProp{}), Names{"optimizer.mean_square.0.weight"});
  EXPECT_EQ(names_of_moments(RmsProp{.momentum = 0.9f}),
            (Names{"optimizer.mean_square.0.weight", "optimizer.velocity.0.weight"}));
  EXPECT_EQ(names_of_moments(Lion{}), Names{"optimizer.momentum.0.weight"});
  EXPECT_EQ(names_of_moments(Lamb{}), (Names{"optimizer.mean.0.weight", "optimizer.variance.0.weight"}));
}

}  // namespace
}  // namespace convoy::testing
