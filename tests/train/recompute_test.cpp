// Whole steps: what is computed again for backward leaves every bit of the weights as it was.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/train/networks.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

const std::string residual =
    residual_layers("    - maxpool: {kernel: 3, stride: 1, pad: 1}\n", 16, "leaky_relu: 0.1");
const std::string plain = R"(
    - conv: {out: 8, kernel: 3, pad: same}
    - gelu
    - conv: {out: 8, kernel: 3, pad: same}
    - tanh
    - maxpool: 2
    - dropout: 0.25
    - conv: {out: 16, kernel: 3, pad: same}
    - gelu
    - avgpool: {kernel: 3, stride: 1, pad: 1}
    - flatten
    - linear: 16
    - relu
    - linear: 3
)";

struct Trained {
  std::vector<double> weights;
  double loss = 0;
  std::size_t calls = 0;
  std::int64_t bytes = 0;
};

Trained train(const std::string& layers, EngineKind engine, const std::string& precision, bool fusion,
              bool recompute) {
  const Config config = step_config(
      layers, fmt::format("precision: {}, fusion: {}, recompute: {}", precision, fusion, recompute),
      precision == "fp64" ? "reference" : "auto");
  const RankEnvironment alone = RankEnvironment::alone();
  Session session(config, tiny_data(37, 11), make_engine(engine, alone), alone);
  session.initialize();
  train_epochs(session, config, 1, 2);  // with a short last batch
  const Plan& plan = session.plans().training.at(8);
  return {weights_of(session), session.evaluate().loss(), plan.steps.size(),
          plan.arenas[static_cast<std::size_t>(Arena::activations)]};
}

void expect_same_bits(EngineKind engine, const std::string& precision) {
  for (const std::string& layers : {residual, plain, modern_layers()}) {
    for (const bool fusion : {false, true}) {
      SCOPED_TRACE(fmt::format("{}, fusion {}{}", precision, fusion, layers));
      const Trained kept = train(layers, engine, precision, fusion, false);
      const Trained repeated = train(layers, engine, precision, fusion, true);
      EXPECT_GT(repeated.calls, kept.calls) << "nothing was computed again: nothing is tested";
      EXPECT_LT(repeated.bytes, kept.bytes);
      EXPECT_EQ(repeated.weights, kept.weights);
      EXPECT_EQ(repeated.loss, kept.loss);
    }
  }
}

TEST(Recomputation, ChangesNoBitOnTheReferenceEngines) {
  expect_same_bits(EngineKind::reference_f32, "fp32");
  expect_same_bits(EngineKind::reference_f64, "fp64");
}

TEST(Recomputation, ChangesNoBitOnTheCpu) {
  expect_same_bits(EngineKind::cpu, "fp32");
}

TEST(CudaRecomputation, ChangesNoBit) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  expect_same_bits(EngineKind::cuda, "fp32");
  expect_same_bits(EngineKind::cuda, "fp16");
}

}  // namespace
}  // namespace convoy::testing
