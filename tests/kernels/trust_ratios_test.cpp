// Trust ratios: engines against the reference, and LAMB with them against timm.
#include "kernels/trust_ratios.h"

#include <cmath>
#include <limits>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// A step of parameters of so many runs each, every third of them without weight decay.
OpCase ratios_case(const std::string& name, const std::vector<int>& sizes, std::int64_t first_run = 0) {
  OpCase op;
  op.name = name;
  op.state.step = 4, op.state.learning_rate = 0.1f;
  Values ends, decay;
  std::int64_t runs = 0;
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    runs += sizes[p];
    ends.push_back(static_cast<double>(first_run + runs));
    decay.insert(decay.end(), static_cast<std::size_t>(sizes[p]), p % 3 == 2 ? 0.0 : 0.03125);
  }
  const std::int64_t count = runs * parameter_alignment;
  OptimizerStep step{
      Lamb{},
      op.input("parameters", uniform(count, -1, 1, 1)),
      op.input("gradients", uniform(count, -2, 2, 2)),
      {op.input("mean", uniform(count, -1, 1, 3)), op.input("variance", uniform(count, 0, 4, 4))},
      op.input("decay", decay)};
  step.first_step = 1;
  const Tensor ratios = op.result("ratios", runs);
  op.calls.push_back(TrustRatios{step, first_run, op.input("ends", ends, DType::i32), ratios});
  step.rates = ratios;
  op.calls.push_back(step);
  return op;
}

TrustRatios& ratios_of(OpCase& op) {
  return std::get<TrustRatios>(op.calls[0]);
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all = {ratios_case("one_run", {1}), ratios_case("of_one_run_each", {1, 1, 1, 1, 1}),
                             ratios_case("uneven", {3, 1, 40, 300, 2, 7}), ratios_case("large", {2000, 5}),
                             ratios_case("behind_others", {2, 9, 1}, 17)};
  OpCase more = ratios_case("scaled_with_rates", {3, 5, 2});
  ratios_of(more).step.rates = more.input("rates", uniform(10, 0.5, 2, 5));
  // scale, inverse, skip, good_steps, skipped_steps, norm
  const Tensor scale = more.input("loss scale", {1024, 0x1p-10, 0, 3, 1, 0});
  ratios_of(more).step.loss_scale = scale;
  std::get<OptimizerStep>(more.calls[1]).loss_scale = scale;
  all.push_back(std::move(more));
  return all;
}

CONVOY_OP_TESTS(TrustRatios, cases);

class LambSteps : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (GetParam() == EngineKind::cuda && cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// Each parameter has a run of its own, and of it this many weights.
Values padded(const std::vector<Values>& parameters) {
  Values block;
  for (Values values : parameters) {
    values.resize(parameter_alignment, 0.0);
    block.insert(block.end(), values.begin(), values.end());
  }
  return block;
}

// timm 1.0.31's Lamb without max_grad_norm, in double: a parameter with decay, one without, and one that
// begins at zero, whose first step has no ratio.
TEST_P(LambSteps, AreThoseOfTimm) {
  constexpr std::array<float, 4> rates{0.1f, 0.05f, 0.2f, 0.01f};
  const std::vector<Values> two{{0.5, -2.0}, {-0.25, 1.0}, {0.125, 0.0}, {3.0, -0.75}};
  const std::vector<Values> three{
      {0.5, -2.0, 0.125}, {-0.25, 1.0, 0.0}, {0.125, 0.0, 4.0}, {3.0, -0.75, -1.0}};
  const std::vector<std::vector<Values>> expected{
      {{0.9306909712089493, -0.43454138724181535, 0.18646710352131882},
       {0.9000001985094863, -0.4000000485098595},
       {-0.09999980149051364, 0.0999999514901405}},
      {{0.9073131227925146, -0.41495229045004617, 0.14410912580725882},
       {0.8866833806746596, -0.38668320540437073},
       {-0.10499979059646473, 0.10499995018223177}},
      {{0.7998453448597858, -0.35391869819328886, -0.015177962134901838},
       {0.8185977580592362, -0.34550737872432163},
       {-0.13059028075467108, 0.12007060585115445}},
      {{0.7928461699810897, -0.3501518470266319, -0.01883125092730736},
       {0.8123670080650653, -0.34205839971261454},
       {-0.1321488175575788, 0.12091797830468455}}};
  Values w = padded({{1.0, -0.5, 0.25}, {1.0, -0.5}, {}}), mean(w.size(), 0.0), variance(w.size(), 0.0);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    OpCase op;
    op.name = "lamb";
    op.state.step = static_cast<std::int64_t>(i), op.state.learning_rate = rates[i];
    OptimizerStep step{Lamb{},
                       op.input("parameters", w),
                       op.input("gradients", padded({three[i], two[i], two[i]})),
                       {op.input("mean", mean), op.input("variance", variance)},
                       op.input("decay", {0.125, 0, 0.125})};
    const Tensor ratios = op.result("ratios", 3);
    op.calls = {TrustRatios{step, 0, op.input("ends", {1, 2, 3}, DType::i32), ratios}};
    step.rates = ratios;
    op.calls.push_back(step);
    const std::vector<Values> results = OpRunner(op, GetParam()).run();
    w = results[0], mean = results[2], variance = results[3];
    const Values wanted = padded(expected[i]);
    const double tolerance = GetParam() == EngineKind::reference_f64 ? 1e-9 : 2e-6;
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(w[k], wanted[k], tolerance) << "weight " << k << " after step " << i + 1;
  }
}

// A norm that is no number must not stop the other parameters.
TEST_P(LambSteps, AParameterWithANaNHasNoRatio) {
  OpCase op = ratios_case("nan", {2, 3});
  Values gradients = uniform(5 * parameter_alignment, -2, 2, 2).values();
  gradients[70] = std::numeric_limits<double>::quiet_NaN();
  op.variables[1].initial = gradients;
  const std::vector<Values> results = OpRunner(op, GetParam()).run();
  const Values& ratios = results[5];
  EXPECT_EQ(ratios[0], 1);
  EXPECT_EQ(ratios[1], 1);
  EXPECT_NE(ratios[2], 1);
  EXPECT_TRUE(std::isfinite(ratios[2]));
}

INSTANTIATE_TEST_SUITE_P(Engines, LambSteps,
                         ::testing::Values(EngineKind::reference_f64, EngineKind::reference_f32,
                                           EngineKind::cpu, EngineKind::cuda),
                         [](const auto& instance) {
                           return fmt::format("engine_{}", static_cast<int>(instance.param));
                         });

}  // namespace
}  // namespace convoy::testing
