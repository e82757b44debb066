// Two whole training steps against PyTorch: losses, every gradient, the final weights and running averages,
// and an evaluation afterwards; from stored bytes to updated weights, as `convoy train` runs them.
#include <gtest/gtest.h>

#include <algorithm>

#include "src/data/epoch_order.h"
#include "src/session/session.h"
#include "tests/golden/golden_file.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

/// Metrics add losses that are rounded to multiples of 2^-24 (rounded_loss).
constexpr double metrics_tolerance = 0x1p-25;

class GoldenSteps : public ::testing::TestWithParam<std::string> {
 protected:
  GoldenSteps() : golden_(read_golden("steps.safetensors")), attributes_(golden_.attributes(GetParam())) {}

  const Values& values(const std::string& name) const { return golden_.at(GetParam() + "/" + name); }

  /// The golden images, stored so that the epoch's shuffle puts them in PyTorch's order.
  Dataset dataset(const Config& config) const {
    const auto& shape = golden_.shape(GetParam() + "/images");  // (N,H,W,C)
    const auto samples = static_cast<std::size_t>(shape[0]);
    Dataset data;
    data.image = {1, static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
    data.classes = static_cast<int>(golden_.shape(GetParam() + "/before/" + last_bias())[0]);
    for (std::size_t i = 0; i < samples; ++i) data.train.push_back(static_cast<std::int32_t>(i));
    const std::vector<std::int32_t> order = epoch_order(data.train, config.seed, 0);
    const auto pixels = static_cast<std::size_t>(data.image.count());
    data.images.resize(samples * pixels);
    data.labels.resize(samples);
    for (std::size_t i = 0; i < samples; ++i) {
      const auto sample = static_cast<std::size_t>(order[i]);
      data.labels[sample] = static_cast<std::int32_t>(values("labels")[i]);
      for (std::size_t e = 0; e < pixels; ++e) {
        data.images[sample * pixels + e] = static_cast<std::uint8_t>(values("images")[i * pixels + e]);
      }
    }
    data.validation.assign(order.begin(), order.begin() + config.train.global_batch);
    return data;
  }

  void run(EngineKind kind, double tolerance, const std::vector<std::string>& overrides = {}) {
    const Config config = parse_config(attributes_["yaml"], GetParam(), overrides);
    Session session(config, dataset(config), make_engine(kind, ranks()), ranks());
    const std::vector<NamedTensor> tensors = session.named_tensors(false);
    ASSERT_GT(tensors.size(), 7u);
    for (const NamedTensor& t : tensors) {
      const Values& stored = values("before/" + t.name);
      session.write_values(t.tensor, t.parameter ? from_file_order(*t.parameter, stored) : stored);
    }

    session.begin_epoch(0);
    ASSERT_EQ(session.steps_per_epoch(), 2);
    for (int step = 0; step < 2; ++step) {
      StepState state;
      state.step = step;
      state.learning_rate = attributes_["rate"];
      session.reset_training_metrics();
      session.train_batch(step, state);
      const double loss = attributes_["losses"][static_cast<std::size_t>(step)];
      EXPECT_NEAR(session.read_training_metrics().loss(), loss, std::max(tolerance, metrics_tolerance))
          << "step " << step;
      const std::string prefix = "gradient" + std::to_string(step) + "/";
      for (std::size_t i = 0; i < session.graph().parameters.size(); ++i) {
        const Parameter& parameter = session.graph().parameters[i];
        const Values gradient = session.read_values(session.plans().layout.gradients[i]);
        expect_close(prefix + parameter.name, values(prefix + parameter.name),
                     to_file_order(parameter, gradient), DType::f32, tolerance);
      }
    }
    for (const NamedTensor& t : tensors) {
      const Values after = session.read_values(t.tensor);
      expect_close("after/" + t.name, values("after/" + t.name),
                   t.parameter ? to_file_order(*t.parameter, after) : after, DType::f32, tolerance);
    }
    const Metrics evaluation = session.evaluate();
    EXPECT_EQ(evaluation.count, config.train.global_batch);
    EXPECT_EQ(evaluation.correct, attributes_["evaluation_hits"].get<double>());
    EXPECT_NEAR(evaluation.loss(), attributes_["evaluation_loss"].get<double>(),
                std::max(tolerance, metrics_tolerance));
  }

 private:
  std::string last_bias() const { return GetParam() == "lenet" ? "9.bias" : "7.bias"; }

  const GoldenFile golden_;
  const nlohmann::json attributes_;
};

TEST_P(GoldenSteps, reference_in_double) {
  run(EngineKind::reference_f64, 1e-11);
}
TEST_P(GoldenSteps, reference_in_double_staged) {
  run(EngineKind::reference_f64, 1e-11, {"data.resident=false"});
}
TEST_P(GoldenSteps, reference_in_float) {
  run(EngineKind::reference_f32, 2e-5);
}
TEST_P(GoldenSteps, cpu) {
  run(EngineKind::cpu, 2e-5);
}
TEST_P(GoldenSteps, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  run(EngineKind::cuda, 2e-5);
}

INSTANTIATE_TEST_SUITE_P(PyTorch, GoldenSteps, ::testing::Values("lenet", "residual"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace convoy::testing
