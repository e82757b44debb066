// RMSprop and Lion, step by step, against what PyTorch's RMSprop and timm's RMSpropTF and Lion (torch 2.15,
// timm 1.0, in double precision) make of the same two weights, gradients and learning rates.
#include <array>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/optimizer.h"
#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

constexpr std::array<float, 4> rates{0.1f, 0.05f, 0.2f, 0.01f};
const std::vector<Values> gradients{{0.5, -2.0}, {-0.25, 1.0}, {0.125, 0.0}, {3.0, -0.75}};

struct Steps {
  std::string name;
  OptimizerRule rule;
  double decay;
  std::vector<Values> weights;  ///< after each step
};
void PrintTo(const Steps& steps, std::ostream* out) {
  *out << steps.name;
}

std::vector<Steps> all_steps() {
  return {
      {"rmsprop",
       RmsProp{},
       0,
       {{-2.9173851490149616e-07, 0.5000004417386219},
        {0.22450640500759983, 0.2754937147505496},
        {-0.21570212147082163, 0.2754937147505496},
        {-0.3139741220409331, 0.30769771072212615}}},
      {"rmsprop_decay",
       RmsProp{.alpha = 0.9f, .epsilon = 1e-3f},
       0.125,
       {{0.6853642120116332, -0.1842563731239229},
        {0.7273776146962001, -0.2547862941536354},
        {0.5090622831426045, -0.245093859169995},
        {0.4780423330981256, -0.23345413162864095}}},
      {"rmsprop_momentum",
       RmsProp{.alpha = 0.9f, .epsilon = 1e-3f, .momentum = 0.9f},
       0.125,
       {{0.6853642120116332, -0.1842563731239229},
        {0.585791513852186, -0.11270166582335804},
        {0.02499504046103067, 0.14918301179473778},
        {-0.031248466243141315, 0.1719652106353345}}},
      {"rmsprop_epsilon_inside",
       RmsProp{.alpha = 0.9f, .epsilon = 1e-3f, .epsilon_inside = true},
       0.125,
       {{0.9355383136242951, -0.32091540496392035},
        {0.9427631982365248, -0.36323784890158695},
        {0.8873823472570297, -0.35479801906305003},
        {0.8632376495645213, -0.34724177803931433}}},
      {"rmsprop_epsilon_inside_momentum",
       RmsProp{.alpha = 0.9f, .epsilon = 1e-3f, .momentum = 0.9f, .epsilon_inside = true},
       0.125,
       {{0.9355383136242951, -0.32091540496392035},
        {0.8847476820352768, -0.20206171763882466},
        {0.7852969449349166, -0.0903982100535003},
        {0.6716857592248966, 0.01735812526269606}}},
      {"rmsprop_epsilon_inside_decoupled",
       RmsProp{.alpha = 0.9f,
               .epsilon = 1e-3f,
               .momentum = 0.9f,
               .decoupled_decay = true,
               .epsilon_inside = true},
       0.125,
       {{0.9355405526483376, -0.3184058253595382},
        {0.896570571546864, -0.20295640380279595},
        {0.8156203044365861, -0.0957690497304693},
        {0.7380651976056769, 0.003449838782406192}}},
      {"lion",
       Lion{},
       0,
       {{0.8999999985098839, -0.3999999985098839},
        {0.9499999992549419, -0.44999999925494194},
        {0.7499999962747097, -0.2499999962747097},
        {0.7399999964982271, -0.23999999649822712}}},
      {"lion_decay",
       Lion{.beta2 = 0.5f},
       0.125,
       {{0.8874999983236194, -0.3937499984167516},
        {0.8319531225063838, -0.34128906014491805},
        {0.6111542911535652, -0.332756833514155},
        {0.6003903485302161, -0.32234088770507685}}},
  };
}

class OptimizerSteps : public ::testing::TestWithParam<std::tuple<Steps, EngineKind>> {};

TEST_P(OptimizerSteps, AreThoseOfPyTorchAndTimm) {
  const auto& [expected, kind] = GetParam();
  if (kind == EngineKind::cuda && cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  Values w{1.0, -0.5};
  std::vector<Values> moments(moments_of(expected.rule).size(), Values(w.size(), 0.0));
  for (std::size_t i = 0; i < rates.size(); ++i) {
    OpCase op;
    op.name = expected.name;
    op.state.step = static_cast<std::int64_t>(i);
    op.state.learning_rate = rates[i];
    const Tensor parameters = op.input("parameters", w), g = op.input("gradients", gradients[i]);
    const Tensor decay = op.input("decay", {expected.decay});
    std::vector<Tensor> blocks;
    for (const Values& moment : moments) blocks.push_back(op.input("moment", moment));
    op.calls = {OptimizerStep{expected.rule, parameters, g, blocks, decay}};
    const std::vector<Values> results = OpRunner(op, kind).run();
    w = results[0];
    for (std::size_t m = 0; m < moments.size(); ++m) moments[m] = results[3 + m];
    const double tolerance = kind == EngineKind::reference_f64 ? 1e-12 : 2e-6;
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(w[k], expected.weights[i][k], tolerance) << "weight " << k << " after step " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerSteps,
                         ::testing::Combine(::testing::ValuesIn(all_steps()),
                                            ::testing::Values(EngineKind::reference_f64,
                                                              EngineKind::reference_f32, EngineKind::cpu,
                                                              EngineKind::cuda)),
                         [](const auto& instance) {
                           const int engine = static_cast<int>(std::get<1>(instance.param));
                           return fmt::format("{}_engine_{}", std::get<0>(instance.param).name, engine);
                         });

}  // namespace
}  // namespace convoy::testing
