// Operations on whole pictures in training: where they stand in a plan, and that neither the place of an
// image, nor the number of ranks, nor a stop makes a difference.
#include <algorithm>

#include "src/plan/passes.h"
#include "tests/test_environment.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

constexpr const char* all_kinds =
    "data.augment=[{crop: 1}, {flip: both}, trivial_augment, {rand_augment: {n: 2, m: 12}}, {rotate: 30}, "
    "{affine: {translate: 0.2, shear: [10, 5]}}, {gaussian_blur: 3}, {grayscale: 0.3}, {posterize: 3}, "
    "{solarize: 128}, equalize, autocontrast, {sharpness: 1.5}, {color_jitter: {contrast: 0.4}}, "
    "{random_erasing: 0.5}, {mixup: 0.4}, {cutmix: 1}]";
/// What images of two channels can have.
constexpr const char* some_kinds =
    "data.augment=[{flip: both}, {rotate: 30}, {affine: {scale: [0.7, 1.3]}}, {posterize: 3}, equalize, "
    "{gaussian_blur: 3}, {mixup: 0.4}]";

/// Without normalisation over groups that passes of a few images would cut.
Config coloured_config(std::vector<std::string> overrides, const char* augment = all_kinds) {
  overrides.emplace_back(augment);
  overrides.emplace_back("data.normalize={mean: 0.4, std: 0.3}");
  std::string yaml = tiny_yaml;
  for (const std::string line : {"- batchnorm: {group: 3}", "- batchnorm\n"})
    yaml.replace(yaml.find(line), line.size(), line.ends_with('\n') ? "- relu\n" : "- relu");
  const std::string input = "input: [2, 6, 6]";
  yaml.replace(yaml.find(input), input.size(), "input: [3, 4, 6]");
  return parse_config(yaml, "retouched.yaml", overrides);
}
Dataset coloured_data(int train, int validation) {
  Dataset data = tiny_data(train, validation);
  data.image = {1, 4, 6, 3};  // as many bytes
  return data;
}

/// 19 images in batches of 8: the last is short.
std::vector<double> trained_weights(EngineKind kind, const std::vector<std::string>& overrides,
                                    const RankEnvironment& environment, const char* augment = all_kinds) {
  const Config config = coloured_config(overrides, augment);
  Session session(config, coloured_data(19, 5), make_engine(kind, environment), environment);
  session.initialize();
  train_epochs(session, config, 1, 2);
  return weights_of(session);
}

std::pair<int, int> calls_of(const Plan& plan) {
  int retouches = 0, augments = 0;
  for (const Step& step : plan.steps) {
    retouches += std::holds_alternative<Retouch>(step.call) ? 1 : 0;
    augments += std::holds_alternative<Augment>(step.call) ? 1 : 0;
  }
  return {retouches, augments};
}

TEST(RetouchedTraining, HasACallOfItsOwnOnlyWhereItIsAskedFor) {
  for (const char* augment : {all_kinds, "data.augment=[{crop: 1}, {flip: both}, {mixup: 0.4}]"}) {
    const Config config = coloured_config({}, augment);
    const Graph graph = build_graph(config.model);
    const Layout layout = make_layout(graph, config, {22, 22, 22}, DType::f32);
    const MicroBatch batch{8, {0, 8}};
    EXPECT_EQ(calls_of(training_pass(graph, layout, config, batch, true)),
              std::pair(augment == all_kinds ? 1 : 0, 1));
    EXPECT_EQ(calls_of(evaluation_plan(graph, layout, config, batch, true)), std::pair(0, 1));
  }
}

TEST(RetouchedTraining, LeavesValidationAlone) {
  const RankEnvironment alone = RankEnvironment::alone();
  const auto loss = [&](const char* augment) {
    const Config config = coloured_config({}, augment);
    Session session(config, coloured_data(19, 17), make_engine(EngineKind::cpu, alone), alone);
    session.initialize();
    return session.evaluate().loss();
  };
  EXPECT_EQ(loss(all_kinds), loss("data.augment=[]"));
}

class RetouchedEngines : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
  static double tolerance() { return GetParam() == EngineKind::reference_f64 ? 1e-12 : 2e-5; }
};
class DistributedRetouchedEngines : public RetouchedEngines {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << several_ranks_needed;
    RetouchedEngines::SetUp();
  }
};

TEST_P(RetouchedEngines, TrainTheSameOnStagedData) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const char* passes :
       {"train.micro_batch=0", "train.micro_batch=3", "train.reproducible_across_ranks=4"}) {
    const auto staged = trained_weights(GetParam(), {passes, "data.resident=false"}, alone);
    EXPECT_EQ(staged, trained_weights(GetParam(), {passes, "data.resident=true"}, alone)) << passes;
  }
}

TEST_P(RetouchedEngines, TrainTheSameInPassesOfAnySize) {
  const RankEnvironment alone = RankEnvironment::alone();
  const char* without_partners =  // which are another image's in another pass
      "data.augment=[{crop: 1}, {flip: both}, trivial_augment, {rotate: 30}, {gaussian_blur: 3}, equalize]";
  const auto whole = trained_weights(GetParam(), {"train.micro_batch=0"}, alone, without_partners);
  EXPECT_LT(largest_difference(whole,
                               trained_weights(GetParam(), {"train.micro_batch=3"}, alone, without_partners)),
            tolerance());
  EXPECT_GT(largest_difference(whole, trained_weights(GetParam(), {"train.micro_batch=0"}, alone,
                                                      "data.augment=[{crop: 1}]")),
            1e-3)
      << "shows that the comparison can fail";
}

TEST_P(DistributedRetouchedEngines, TrainTheSameOnAnyRankCount) {
  const RankEnvironment alone = RankEnvironment::alone();
  for (const char* passes : {"train.micro_batch=0", "train.micro_batch=5"}) {
    const auto one = trained_weights(GetParam(), {passes}, alone);
    for (const char* resident : {"data.resident=true", "data.resident=false"}) {
      EXPECT_LT(largest_difference(one, trained_weights(GetParam(), {passes, resident}, ranks())),
                tolerance())
          << passes << ' ' << resident;
    }
  }
}

TEST_P(RetouchedEngines, GoOnFromAnyStepToTheSameBits) {
  const RankEnvironment alone = RankEnvironment::alone();
  const bool in_double = GetParam() == EngineKind::reference_f64;
  const Config config = tiny_config({some_kinds, in_double ? "device=reference" : "device=auto",
                                     in_double ? "train.precision=fp64" : "train.precision=fp32",
                                     "train.epochs=2", "checkpoint.every_steps=3"});
  const RunFiles files;
  const auto expected = train_run(config, files.run(), "", GetParam(), alone).weights;
  const auto all = list_checkpoints(files.checkpoints());
  ASSERT_GT(all.size(), 2u);
  std::filesystem::path within;  // the last one within the first epoch
  for (const auto& path : all)
    if (path.filename().string().find("epoch-0001-step") == 0 && within.empty()) within = path;
  ASSERT_FALSE(within.empty());
  kill_after(files.checkpoints(), within);
  EXPECT_EQ(train_run(config, files.run(), "auto", GetParam(), alone).weights, expected);
}

const auto kinds = ::testing::Values(EngineKind::reference_f64, EngineKind::cpu, EngineKind::cuda);
INSTANTIATE_TEST_SUITE_P(Engines, RetouchedEngines, kinds, engine_name);
INSTANTIATE_TEST_SUITE_P(Engines, DistributedRetouchedEngines, kinds, engine_name);

}  // namespace
}  // namespace convoy::testing
