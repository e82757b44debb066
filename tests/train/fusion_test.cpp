// Whole steps on the GPU: a fused plan trains to the weights of the plain one.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/train/networks.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

const std::string lenet_like = R"(
    - conv: {out: 8, kernel: 3, pad: same}
    - relu
    - maxpool: 2
    - conv: {out: 12, kernel: 3, pad: same}
    - leaky_relu: 0.1
    - maxpool: {kernel: 3, stride: 1, pad: 1}
    - flatten
    - linear: 80
    - relu
    - linear: 3
)";
const std::string residual = residual_layers("", 12, "relu");

class CudaFusedTraining : public ::testing::TestWithParam<std::string> {
 protected:
  static Config config(const std::string& fusion, const std::string& precision = "fp32") {
    return step_config(GetParam(), fmt::format("fusion: {}, precision: {}", fusion, precision));
  }
};

TEST_P(CudaFusedTraining, EndsWithTheWeightsOfPlainTraining) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const RankEnvironment alone = RankEnvironment::alone();
  std::vector<std::vector<double>> weights;
  std::vector<std::size_t> calls;
  std::vector<double> losses;
  for (const char* fusion : {"false", "true"}) {
    const Config settings = config(fusion);
    Session session(settings, tiny_data(37, 11), make_engine(EngineKind::cuda, alone), alone);
    session.initialize();
    train_epochs(session, settings, 1, 2);  // with a short last batch
    weights.push_back(weights_of(session));
    calls.push_back(session.plans().training.at(8).steps.size());
    losses.push_back(session.evaluate().loss());
  }
  EXPECT_LT(calls[1], calls[0]) << "nothing was fused: nothing is tested";
  EXPECT_LT(largest_difference(weights[0], weights[1]), 1e-5);
  EXPECT_NEAR(losses[0], losses[1], 1e-5);
}

/// One step, as roundings drift apart afterwards: weights and running averages.
TEST_P(CudaFusedTraining, TakesThePlainStepInFp16) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const RankEnvironment alone = RankEnvironment::alone();
  std::vector<std::vector<double>> weights;
  for (const char* fusion : {"false", "true"}) {
    const Config settings = config(fusion, "fp16");
    Session session(settings, tiny_data(37, 11), make_engine(EngineKind::cuda, alone), alone);
    session.initialize();
    session.begin_epoch(1);
    StepState state;
    state.learning_rate = settings.optimizer.lr;
    session.train_batch(0, state);
    weights.push_back(weights_of(session));
    const auto& steps = session.plans().training.at(8).steps;
    const bool takes_statistics = std::any_of(steps.begin(), steps.end(), [](const Step& step) {
      return std::holds_alternative<ConvStatistics>(step.call);
    });
    EXPECT_EQ(takes_statistics, fusion == std::string("true") && GetParam() == residual);
  }
  EXPECT_LT(largest_difference(weights[0], weights[1]), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Networks, CudaFusedTraining, ::testing::Values(lenet_like, residual),
                         [](const auto& instance) { return instance.index == 0 ? "lenet" : "residual"; });

}  // namespace
}  // namespace convoy::testing
