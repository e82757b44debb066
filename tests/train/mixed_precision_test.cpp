// Training in 16 bits on the GPU: it learns what fp32 learns, and survives gradients that overflow.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "kernels/loss_scale.h"
#include "tests/train/networks.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

/// Channels in eights, which tensor cores take, with batch normalisation and a shortcut.
Config network(const std::string& precision, const std::string& optimizer, bool fusion = true) {
  return step_config(R"(    - conv: {out: 16, kernel: 3, pad: same, bias: false}
    - batchnorm
    - relu
    - residual:
        body:
          - conv: {out: 16, kernel: 3, pad: same, bias: false}
          - batchnorm
    - relu
    - conv: {out: 24, kernel: 3, stride: 2, pad: 1}
    - relu
    - maxpool: 3
    - flatten
    - linear: 3)",
                     fmt::format("precision: {}, fusion: {}", precision, fusion), "auto", optimizer);
}
const std::string sgd = "{name: sgd, lr: 0.05, momentum: 0.9}";

class CudaMixedPrecision : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
  std::unique_ptr<Session> session_for(const Config& config) const {
    auto session =
        std::make_unique<Session>(config, tiny_data(37, 11), make_engine(EngineKind::cuda, alone_), alone_);
    session->initialize();
    return session;
  }
  RankEnvironment alone_ = RankEnvironment::alone();
};

/// From the same weights: the first step's update points where fp32's does, to some forty roundings of 2^-11
/// and 2^-8 (later ones drift apart, as roundings decide which taps win), and two epochs come to the same
/// loss.
TEST_F(CudaMixedPrecision, LearnsWhatFp32Learns) {
  struct Result {
    std::vector<double> update;
    double loss;
  };
  const auto train = [&](const std::string& precision, bool fusion) {
    const Config config = network(precision, sgd, fusion);
    const auto session = session_for(config);
    const Tensor& parameters = session->plans().layout.all_parameters;
    std::vector<double> update = session->read_values(parameters);
    session->begin_epoch(1);
    StepState state;
    state.learning_rate = config.optimizer.lr;
    session->train_batch(0, state);
    const std::vector<double> after = session->read_values(parameters);
    std::transform(after.begin(), after.end(), update.begin(), update.begin(), std::minus<>());
    session->initialize();
    train_epochs(*session, config, 1, 2);
    return Result{update, session->evaluate().loss()};
  };
  const auto norm = [](const std::vector<double>& v) {
    return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
  };
  const Result full = train("fp32", true);
  for (const auto& [precision, tolerance] : {std::pair{"fp16", 0.02}, {"bf16", 0.16}}) {
    if (!make_engine(EngineKind::cuda, alone_)->computes_in(Precision::bf16) &&
        precision == std::string("bf16")) {
      continue;
    }
    for (const bool fusion : {false, true}) {
      const Result stored = train(precision, fusion);
      std::vector<double> difference = stored.update;
      std::transform(difference.begin(), difference.end(), full.update.begin(), difference.begin(),
                     std::minus<>());
      const double relative = norm(difference) / norm(full.update);
      EXPECT_LT(relative, tolerance) << precision << " fusion " << fusion;
      EXPECT_GT(relative, 0) << "computed in fp32: nothing is tested";
      EXPECT_NEAR(stored.loss, full.loss, tolerance * full.loss) << precision << " fusion " << fusion;
    }
  }
}

/// A scale that is too large: steps are skipped, without a trace but the count, until gradients fit.
TEST_F(CudaMixedPrecision, SkipsOverflowsAndRecovers) {
  for (const std::string& optimizer : {sgd, std::string("{name: adamw, lr: 0.01, weight_decay: 0.1}")}) {
    const Config config = network("fp16", optimizer);
    const auto session = session_for(config);
    const Layout& layout = session->plans().layout;
    std::vector<double> state(loss_scale::fields, 0.0);
    state[loss_scale::scale] = loss_scale::largest;
    session->write_values(layout.loss_scale, state);
    const auto remembered = [&] {
      std::vector<std::vector<double>> all{session->read_values(layout.all_parameters),
                                           session->read_values(layout.compute_weights)};
      for (const Tensor& moment : layout.moments) all.push_back(session->read_values(moment));
      return all;
    };
    session->begin_epoch(1);
    int skipped = 0;
    for (int i = 0; i < 200; ++i) {
      const auto before = remembered();
      StepState step;
      step.step = i;
      step.learning_rate = config.optimizer.lr;
      session->train_batch(0, step);
      const LossScale scale = *session->read_loss_scale();
      if (scale.skipped_steps == skipped) {
        EXPECT_NE(remembered(), before) << "a step that is not skipped changes something";
        break;
      }
      EXPECT_EQ(scale.skipped_steps, ++skipped);
      EXPECT_EQ(scale.scale, loss_scale::largest / (1 << skipped)) << "each skipped step halves the scale";
      EXPECT_EQ(remembered(), before) << "a skipped step changes nothing";
    }
    EXPECT_GT(skipped, 0) << "nothing overflowed: nothing is tested";
    EXPECT_LT(skipped, 20);
  }
}

/// What products take is the master weights rounded to nearest, after every kind of write.
TEST_F(CudaMixedPrecision, WorkingCopiesFollowTheMasterWeights) {
  const Config config = network("fp16", sgd);
  const auto session = session_for(config);
  const auto check_copies = [&] {
    for (const Tensor& parameter : session->plans().layout.parameters) {
      const std::vector<double> master = session->read_values(parameter);
      const std::vector<double> copy =
          session->read_values(same_place(parameter, session->plans().layout.compute_weights));
      for (std::size_t i = 0; i < master.size(); ++i) {
        ASSERT_EQ(copy[i], static_cast<float>(Half(static_cast<float>(master[i]))));
      }
    }
  };
  check_copies();
  train_epochs(*session, config, 1, 1);
  check_copies();
}

}  // namespace
}  // namespace convoy::testing
