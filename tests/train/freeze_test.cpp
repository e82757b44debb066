// train.freeze and optimizer.groups: what is frozen stays and costs nothing, what has its own rate moves by
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/model/patterns.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

/// A convolution, a normalisation, two more of both in a block, and a classifier.
Config config_with(std::vector<std::string> overrides) {
  const std::string layers =
      "[{conv: {out: 4, kernel: 3, pad: same}, name: conv1}, {batchnorm, name: bn1}, relu, {residual: "
      "[{conv: {out: 4, "
      "kernel: 3, pad: same}, name: conv1}, {batchnorm, name: bn1}], name: layer1}, globalavgpool, {linear: "
      "3, name: "
      "fc}]";
  overrides.insert(overrides.begin(), {"model.layers=" + layers, "data.augment=[]"});
  return tiny_config(overrides);
}

/// The mean cross-entropy, in double precision.
double loss_of(const Predictions& predictions) {
  const auto classes = static_cast<std::size_t>(predictions.classes);
  double sum = 0;
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    const double* logits = predictions.logits.data() + i * classes;
    double total = 0;
    for (std::size_t k = 0; k < classes; ++k) total += std::exp(logits[k]);
    sum += std::log(total) - logits[predictions.labels[i]];
  }
  return sum / static_cast<double>(predictions.labels.size());
}

class Freezing : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (GetParam() == EngineKind::cuda && cuda_device_count() == 0) GTEST_SKIP() << "needs a CUDA device";
    if (GetParam() == EngineKind::cuda) device_ = "device=cuda";
    if (GetParam() == EngineKind::reference_f64) device_ = "device=reference";
  }
  Config config(std::vector<std::string> overrides) const {
    overrides.push_back(device_);
    if (GetParam() == EngineKind::reference_f64) overrides.emplace_back("train.precision=fp64");
    return config_with(overrides);
  }
  std::unique_ptr<Session> session(const Config& config, Dataset data) const {
    auto session =
        std::make_unique<Session>(config, std::move(data), make_engine(GetParam(), alone_), alone_);
    session->initialize();
    return session;
  }
  static std::map<std::string, std::vector<double>> tensors(Session& session) {
    std::map<std::string, std::vector<double>> all;
    for (const NamedTensor& named : session.named_tensors(true))
      all[named.name] = session.read_values(named.tensor);
    return all;
  }
  /// Which of the weights and running averages training has changed.
  static std::vector<std::string> changed(const std::map<std::string, std::vector<double>>& before,
                                          const std::map<std::string, std::vector<double>>& after) {
    std::vector<std::string> names;
    for (const auto& [name, values] : after)
      if (!name.starts_with("optimizer.") && before.at(name) != values) names.push_back(name);
    return names;
  }
  RankEnvironment alone_ = RankEnvironment::alone();
  std::string device_ = "device=cpu";
};

using Names = std::vector<std::string>;

TEST_P(Freezing, FrozenParametersAndTheirAveragesStay) {
  const Config c = config({"train.freeze=[conv1, bn1, layer1.conv1.weight]"});
  const auto s = session(c, tiny_data(16, 4));
  for (const NamedTensor& named : s->named_tensors(false))  // 0 would stay where nothing is added
    if (named.name.find("running") != std::string::npos)
      s->write_values(named.tensor, std::vector<double>(static_cast<std::size_t>(named.tensor.count), 0.75));
  const auto before = tensors(*s);
  train_epochs(*s, c, 1, 2);
  const auto after = tensors(*s);
  EXPECT_EQ(changed(before, after),
            (Names{"fc.bias", "fc.weight", "layer1.bn1.bias", "layer1.bn1.running_mean",
                   "layer1.bn1.running_var", "layer1.bn1.weight", "layer1.conv1.bias"}));
  EXPECT_FALSE(after.contains("optimizer.velocity.conv1.weight"));
  EXPECT_FALSE(after.contains("optimizer.velocity.layer1.conv1.weight"));
  EXPECT_TRUE(after.contains("optimizer.velocity.layer1.conv1.bias"));
}

// With its running averages, a frozen BatchNorm gives in training what it gives in evaluation, so that the
// evaluation's loss has the gradient that training computes.
TEST_P(Freezing, GradientsGoThroughAFrozenBatchNorm) {
  if (GetParam() != EngineKind::reference_f64) GTEST_SKIP() << "of differences, in double precision";
  const Config c = config({"train.freeze=[bn1, layer1.bn1]", "train.label_smoothing=0"});
  Dataset data = tiny_data(8, 8);
  const std::size_t half = data.images.size() / 2;
  std::copy_n(data.images.begin(), half, data.images.begin() + static_cast<std::ptrdiff_t>(half));
  std::copy_n(data.labels.begin(), 8, data.labels.begin() + 8);
  const auto s = session(c, std::move(data));
  for (const NamedTensor& named : s->named_tensors(false)) {
    std::vector<double> values = s->read_values(named.tensor);
    if (named.name.ends_with("running_mean"))
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.1 * static_cast<double>(i);
    if (named.name.ends_with("running_var"))
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.5 + 0.25 * static_cast<double>(i);
    s->write_values(named.tensor, values);
  }
  s->begin_epoch(1);
  s->train_batch(0, {});  // the learning rate is 0
  const Layout& layout = s->plans().layout;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    const std::string& name = s->graph().parameters[i].name;
    if (layout.stage_of[i] != 0) {
      EXPECT_NE(name.find("bn1"), std::string::npos) << name;
      continue;
    }
    const std::vector<double> gradient = s->read_values(layout.gradients[i]);
    std::vector<double> values = s->read_values(layout.parameters[i]);
    for (std::size_t k = 0; k < values.size(); k += 7) {
      const double here = values[k], step = 1e-5;
      const auto loss_at = [&](double value) {
        values[k] = value;
        s->write_values(layout.parameters[i], values);
        Predictions predictions;
        s->evaluate(&predictions);
        return loss_of(predictions);
      };
      const double slope = (loss_at(here + step) - loss_at(here - step)) / (2 * step);
      loss_at(here);
      EXPECT_NEAR(gradient[k], slope, 1e-6) << name << " " << k;
    }
  }
}

TEST_P(Freezing, ItEndsAfterSoManyEpochs) {
  const Config c = config({"train.freeze=[{match: conv1, epochs: 2}, {match: bn1, epochs: 1}]"});
  const auto s = session(c, tiny_data(16, 4));
  const auto changes = [&](int epoch) {
    const auto before = tensors(*s);
    train_epochs(*s, c, epoch, 1);
    const Names names = changed(before, tensors(*s));
    return std::vector<bool>{std::count(names.begin(), names.end(), "conv1.weight") > 0,
                             std::count(names.begin(), names.end(), "bn1.weight") > 0,
                             std::count(names.begin(), names.end(), "bn1.running_mean") > 0};
  };
  EXPECT_EQ(changes(1), (std::vector<bool>{false, false, false}));
  EXPECT_EQ(changes(2), (std::vector<bool>{false, true, true}));
  EXPECT_EQ(changes(3), (std::vector<bool>{true, true, true}));
}

TEST_P(Freezing, InterruptedEqualsUninterrupted) {
  if (GetParam() == EngineKind::reference_f64) GTEST_SKIP() << "slow";
  for (const char* optimizer : {"{name: sgd, lr: 0.1, momentum: 0.9}", "{name: adamw, lr: 0.01}"}) {
    const Config c = config({"train.epochs=4", "train.freeze=[{match: conv1, epochs: 2}, bn1]",
                             fmt::format("optimizer={}", optimizer)});
    const RunFiles whole, cut;
    const RankEnvironment alone = RankEnvironment::alone();
    const std::vector<double> weights = train_run(c, whole.run(), "", GetParam(), alone).weights;
    for (const int epoch : {1, 2, 3}) {
      std::filesystem::copy(whole.run(), cut.run(), std::filesystem::copy_options::recursive);
      kill_after(cut.checkpoints(), after_epoch(cut.checkpoints(), epoch));
      EXPECT_EQ(train_run(c, cut.run(), "auto", GetParam(), alone).weights, weights)
          << optimizer << " " << epoch;
      std::filesystem::remove_all(cut.run());
    }
  }
}

TEST_P(Freezing, GroupsMoveByTheirOwnRate) {
  const auto step = [&](std::vector<std::string> overrides) {
    overrides.emplace_back("optimizer={name: sgd, lr: 0.01, weight_decay: 0.5}");
    if (overrides.size() > 1) std::rotate(overrides.begin(), overrides.end() - 1, overrides.end());
    const Config c = config(overrides);
    const auto s = session(c, tiny_data(8, 4));
    const auto before = tensors(*s);
    train_epochs(*s, c, 1, 1);
    auto after = tensors(*s);
    for (auto& [name, values] : after)
      for (std::size_t i = 0; i < values.size(); ++i) values[i] -= before.at(name)[i];
    return std::pair(before, after);
  };
  const auto [weights, plain] = step({});
  const auto [same, grouped] =
      step({"optimizer.groups=[{match: fc.weight, lr: x10}, {match: fc, lr: 0.02}, {match: layer1.conv*, "
            "weight_decay: 0}]"});
  for (const auto& [name, moved] : grouped) {
    if (name.find("running") != std::string::npos) continue;
    const double factor = name == "fc.weight" ? 10 : name == "fc.bias" ? 2 : 1;
    const double decay = name == "layer1.conv1.weight" ? 0.01 * 0.5 : 0;
    for (std::size_t i = 0; i < moved.size(); ++i)
      EXPECT_NEAR(moved[i], factor * plain.at(name)[i] + decay * weights.at(name)[i], 2e-6) << name;
  }
}

TEST_P(Freezing, GroupsThatChangeNothingKeepEveryBit) {
  if (GetParam() == EngineKind::cuda) GTEST_SKIP() << "two plans of several kernels";
  for (const char* optimizer : {"{name: sgd, lr: 0.1, momentum: 0.9", "{name: adamw, lr: 0.01"}) {
    const auto weights = [&](const std::string& groups) {
      const Config c = config({fmt::format("optimizer={}, weight_decay: 0.01{}}}", optimizer, groups)});
      const auto s = session(c, tiny_data(16, 4));
      train_epochs(*s, c, 1, 2);
      return weights_of(*s);
    };
    EXPECT_EQ(weights(""), weights(", groups: [{match: '*', weight_decay: 0.01}]")) << optimizer;
    EXPECT_NE(weights(""), weights(", groups: [{match: 'fc*', lr: x2}]")) << optimizer;
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Freezing,
                         ::testing::Values(EngineKind::cpu, EngineKind::reference_f64, EngineKind::cuda),
                         engine_name);

// ---- plans ----

/// The names of the step's calls, each behind its node's.
Names calls_of(const Plan& plan) {
  Names names;
  for (const Step& step : plan.steps) names.push_back(step.node + " " + name_of(step.call));
  return names;
}
PlanSet plans_of(const std::vector<std::string>& overrides, const RankEnvironment& ranks) {
  const Config config = config_with(overrides);
  return make_plans(build_graph(config.model), config, {16, 4, 0, 20}, *make_engine(EngineKind::cpu, ranks),
                    ranks);
}
bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST(FrozenPlans, HaveNoGradientsBelowWhatTrains) {
  const RankEnvironment alone = RankEnvironment::alone();
  const PlanSet whole = plans_of({}, alone);
  const PlanSet head = plans_of({"train.freeze=[conv1, bn1, layer1]"}, alone);
  const Names all = calls_of(whole.training.at(8)), few = calls_of(head.training.at(8));
  for (const char* call : {"conv1 conv.wgrad", "layer1.conv1 conv.wgrad", "layer1.conv1 conv.dgrad",
                           "bn1 batchnorm.reduce", "fc linear.dgrad"}) {
    EXPECT_TRUE(has(all, call)) << call;
    EXPECT_FALSE(has(few, call)) << call;
  }
  EXPECT_TRUE(has(few, "fc linear.wgrad"));
  EXPECT_TRUE(has(few, "bn1 batchnorm.inference"));
  const auto bytes = [](const PlanSet& plans, Arena arena) {
    return plans.arenas[static_cast<std::size_t>(arena)];
  };
  EXPECT_EQ(bytes(head, Arena::parameters), bytes(whole, Arena::parameters));
  EXPECT_LT(bytes(head, Arena::gradients), bytes(whole, Arena::gradients));
  EXPECT_LT(bytes(head, Arena::moments), bytes(whole, Arena::moments));
  EXPECT_LT(bytes(head, Arena::activations), bytes(whole, Arena::activations));
  EXPECT_EQ(head.layout.moments.at(0).count, 2 * parameter_alignment) << "fc's weight and bias";
}

TEST(FrozenPlans, SumOnlyWhatTrains) {
  const Config config = config_with({"train.freeze=[{match: conv1, epochs: 1}, bn1]"});
  const Graph graph = build_graph(config.model);
  const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
  ASSERT_EQ(layout.stages.size(), 2u);
  for (const int stage : {0, 1}) {
    Plan plan = training_plan(graph, layout, config, {{8, {0, 4}, 2}}, true, std::identity{}, stage);
    plan = insert_all_reduces(std::move(plan), layout, 1, 2, stage);
    const std::int64_t end = layout.stages[static_cast<std::size_t>(stage)].end * size_of(layout.real);
    std::int64_t summed = 0, behind = 0;
    for (const Step& step : plan.steps) {
      if (const auto* sum = std::get_if<AllReduce>(&step.call);
          sum && sum->values.arena == Arena::gradients) {
        EXPECT_TRUE(sum->values.offset >= layout.votes.offset ||
                    sum->values.offset + sum->values.bytes() <= end || stage == 1);
        (sum->values.offset < end ? summed : behind) += sum->values.bytes();
      }
    }
    EXPECT_EQ(summed + behind, end + layout.reduced_block.bytes() - layout.votes.offset) << stage;
  }
}

TEST(FrozenPlans, PatternsThatNothingHasAreRefused) {
  const auto refusal = [](const std::vector<std::string>& overrides) -> std::string {
    const Config config = config_with(overrides);
    try {
      make_layout(build_graph(config.model), config, {22, 22, 22}, DType::f32);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(
      refusal({"train.freeze=[layer2]"}),
      "command line: train.freeze=[layer2]: train.freeze: no parameter is called layer2; the nearest are "
      "fc.bias, bn1.bias, fc.weight");
  EXPECT_NE(
      refusal({"optimizer.groups=[{match: layer1.conv2, lr: x2}]"})
          .find("optimizer.groups: no parameter is called layer1.conv2; the nearest are layer1.conv1.bias"),
      std::string::npos);
  EXPECT_NE(refusal({"train.freeze='*'"}).find("it freezes every parameter"), std::string::npos);
  EXPECT_NE(
      refusal({"train.freeze={match: '*', epochs: 3}"}).find("nothing would train in the first 3 epochs"),
      std::string::npos);
}

TEST(Patterns, MatchNames) {
  EXPECT_TRUE(matches("fc.*", "fc.weight"));
  EXPECT_TRUE(matches("fc", "fc.weight"));
  EXPECT_TRUE(matches("*.bias", "layer1.0.conv1.bias"));
  EXPECT_TRUE(matches("layer?.*.conv*", "layer1.0.conv1.bias"));
  EXPECT_TRUE(matches("*", "fc.weight"));
  EXPECT_FALSE(matches("fc", "fc2.weight"));
  EXPECT_FALSE(matches("c.weight", "fc.weight"));
  EXPECT_FALSE(matches("?", ""));
  EXPECT_FALSE(matches("*a*a*a*a*a*a*a*a*b", std::string(10'000, 'a')));
}

}  // namespace
}  // namespace convoy::testing
