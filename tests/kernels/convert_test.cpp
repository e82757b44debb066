#include "kernels/convert.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/engine/tensor_values.h"
#include "tests/kernels/op_case.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class Conversion : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
};

// Ordinary values, what overflows, what is subnormal in 16 bits, ties; counts that fill no pack.
TEST_P(Conversion, RoundsOnceAndComesBack) {
  for (const DType stored : {DType::f16, DType::bf16}) {
    for (const std::int64_t count : {1, 4096, 1027}) {
      std::vector<double> values = uniform(count, -1, 1, 1).values();
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (i % 4 == 1) values[i] *= 1e5;
        if (i % 4 == 2) values[i] *= 1e-6;
        if (i % 4 == 3) values[i] = static_cast<double>(i) / 2048 + 1;
        values[i] = static_cast<double>(static_cast<float>(values[i]));
      }
      const RankEnvironment alone = RankEnvironment::alone();
      const std::unique_ptr<Engine> engine = make_engine(GetParam(), alone);
      const std::int64_t bytes = count * size_of(engine->real());
      const Tensor from{Arena::activations, engine->real(), 0, count};
      const Tensor rounded{Arena::activations, stored, (bytes + 255) / 256 * 256, count};
      const Tensor to{Arena::activations, engine->real(), rounded.offset + (bytes + 255) / 256 * 256, count};
      Plan plan{"conversion", {{Convert{from, rounded}, ""}, {Convert{rounded, to}, ""}}};
      plan.arenas[static_cast<std::size_t>(Arena::activations)] = to.offset + to.bytes();
      engine->allocate(plan.arenas);
      write_values(*engine, from, values);
      engine->run(engine->load(plan), {});
      const std::vector<double> back = read_values(*engine, to);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto value = static_cast<float>(values[i]);
        const float expected =
            stored == DType::f16 ? static_cast<float>(Half(value)) : static_cast<float>(BFloat16(value));
        ASSERT_EQ(back[i], static_cast<double>(expected)) << name_of(stored) << " of " << value;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Conversion,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::reference_f64,
                                           EngineKind::cpu, EngineKind::cuda),
                         engine_name);

}  // namespace
}  // namespace convoy::testing
