// What is asked of every case: right gradients, and the same results from every engine.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/kernels/op_case.h"
#include "tests/thread_variable.h"

namespace convoy::testing {
namespace {

void compare_with_reference(const OpCase& op, EngineKind kind) {
  const std::vector<Values> expected = OpRunner(op, EngineKind::reference_f64).run();
  const std::vector<Values> actual = OpRunner(op, kind).run();
  for (std::size_t i = 0; i < op.variables.size(); ++i) {
    const DType type = op.variables[i].tensor.dtype;
    const bool in_16_bits = (type == DType::f16 || type == DType::bf16) && op.storage_tolerance > 0;
    expect_close(op.variables[i].name, expected[i], actual[i], type,
                 in_16_bits ? op.storage_tolerance : op.tolerance);
  }
}

/// Some elements: the 30 largest, and as many spread evenly.
std::vector<std::size_t> sample(const Values& values) {
  constexpr std::size_t some = 30;
  std::vector<std::size_t> indices(values.size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  if (indices.size() <= 2 * some) return indices;
  std::stable_sort(indices.begin(), indices.end(),
                   [&](std::size_t a, std::size_t b) { return std::abs(values[a]) > std::abs(values[b]); });
  indices.resize(some);
  for (std::size_t i = 0; i < some; ++i) indices.push_back(i * values.size() / some);
  return indices;
}

}  // namespace

TEST_P(OpGradientTest, central_differences) {
  const OpCase& op = GetParam();
  OpRunner runner(op, EngineKind::reference_f64);
  const std::vector<Values> analytic = runner.run();
  const Values projection = op.projection.values();
  const auto function = [&] {
    const Values y = runner.run().at(static_cast<std::size_t>(op.output.offset));
    return std::inner_product(y.begin(), y.end(), projection.begin(), 0.0);
  };
  constexpr double h = 1e-5;
  for (const auto& [variable, gradient] : op.gradients) {
    const Values& derivative = analytic.at(static_cast<std::size_t>(gradient.offset));
    const std::vector<std::size_t> indices = sample(derivative);
    ASSERT_FALSE(indices.empty());
    Values expected, actual;
    for (const std::size_t i : indices) {
      double& value = runner.initial(variable)[i];
      const double kept = value;
      value = kept + h;
      const double above = function();
      value = kept - h;
      const double below = function();
      value = kept;
      expected.push_back((above - below) / (2 * h));
      actual.push_back(derivative[i]);
    }
    const bool flat =
        std::all_of(expected.begin(), expected.end(), [](double d) { return std::abs(d) < 1e-8; });
    EXPECT_FALSE(flat) << "the function does not depend on this variable: nothing is tested";
    expect_close(op.variables[static_cast<std::size_t>(gradient.offset)].name, expected, actual, DType::f64,
                 1e-6);
  }
}

TEST_P(OpTest, reference_in_float) {
  compare_with_reference(GetParam(), EngineKind::reference_f32);
}

TEST_P(OpTest, cpu) {
  compare_with_reference(GetParam(), EngineKind::cpu);
}

TEST_P(OpTest, cpu_threads_do_not_change_bits) {
  const ThreadVariable variable(3);
  OpRunner runner(GetParam(), EngineKind::cpu);
  runner.engine().limit_threads(1);
  runner.run();
  const std::vector<std::byte> alone = runner.bytes();
  for (const int threads : {2, 3}) {
    runner.engine().limit_threads(threads);
    ASSERT_EQ(runner.engine().threads(), threads);
    runner.run();
    EXPECT_TRUE(runner.bytes() == alone) << threads << " threads give other bits than one";
  }
}

TEST_P(OpTest, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  compare_with_reference(GetParam(), EngineKind::cuda);
}

TEST_P(OpTest, cuda_repeats_bits) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  expect_repeated_bits(GetParam(), EngineKind::cuda);
}

TEST_P(OpStorageTest, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  compare_with_reference(GetParam(), EngineKind::cuda);
}

TEST_P(OpStorageTest, cuda_repeats_bits) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  expect_repeated_bits(GetParam(), EngineKind::cuda);
}

}  // namespace convoy::testing
