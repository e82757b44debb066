// Hashes of tensors: all engines agree on every bit, and every bit of a value counts.
#include "kernels/parameter_hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "src/engine/engine.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

/// By an engine, of values in its real type, which lie at an odd place of their arena.
template <class T>
std::uint64_t hash_by(EngineKind kind, const std::vector<T>& values) {
  const RankEnvironment alone = RankEnvironment::alone();
  const std::unique_ptr<Engine> engine = make_engine(kind, alone);
  const auto count = static_cast<std::int64_t>(values.size());
  Plan plan;
  const Tensor tensor{Arena::parameters, dtype_of<T>(), 3 * std::int64_t{sizeof(T)}, count};
  const Tensor hash{Arena::metrics, DType::i32, 8, hash_words};
  plan.steps = {{ParameterHash{tensor, hash}, "hash"}};
  plan.arenas[static_cast<std::size_t>(Arena::parameters)] = tensor.offset + tensor.bytes() + 64;
  plan.arenas[static_cast<std::size_t>(Arena::metrics)] = 64;
  engine->allocate(plan.arenas);
  const int handle = engine->load(plan);
  const std::vector<std::int32_t> poison(16, -1);
  engine->write({Arena::metrics, DType::i32, 0, 16}, poison.data());
  engine->write(tensor, values.data());
  std::vector<std::int32_t> words(16);
  for (int run = 0; run < 2; ++run) {  // the second meets what the first left
    engine->run(handle, {});
    engine->read({Arena::metrics, DType::i32, 0, 16}, words.data());
  }
  for (const std::size_t beside : {0, 1, 4, 5, 15}) EXPECT_EQ(words[beside], -1);
  std::uint64_t result = 0;
  std::memcpy(&result, words.data() + 2, sizeof result);
  return result;
}

std::vector<float> some_values(std::size_t count) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(random4(7, Purpose::split, 0, i).v[0]) / 1e9f - 2.0f);
  return values;
}

class ParameterHashTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (lacks_devices(GetParam(), ranks())) GTEST_SKIP() << devices_needed(ranks());
  }
};

TEST_P(ParameterHashTest, IsTheSumOfItsTermsOnEveryEngine) {
  for (const std::size_t count : {0, 1, 31, 64, 1000, 1025, 300'001}) {
    const std::vector<float> values = some_values(count);
    std::uint64_t expected = 0;
    for (std::size_t i = 0; i < count; ++i) expected += hash_term(i, std::bit_cast<std::uint32_t>(values[i]));
    EXPECT_EQ(hash_by(GetParam(), values), expected) << count;
  }
}

TEST_P(ParameterHashTest, DependsOnEveryBitAndPlace) {
  const std::vector<float> values = some_values(70);
  const std::uint64_t hash = hash_by(GetParam(), values);
  for (const std::uint32_t bit : {1u, 1u << 15, 1u << 31}) {
    std::vector<float> other = values;
    other[69] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values[69]) ^ bit);
    EXPECT_NE(hash_by(GetParam(), other), hash) << bit;
  }
  std::vector<float> swapped = values;
  std::swap(swapped[3], swapped[50]);
  EXPECT_NE(hash_by(GetParam(), swapped), hash);
  std::vector<float> longer = values;
  longer.push_back(0.0f);
  EXPECT_NE(hash_by(GetParam(), longer), hash) << "a zero more";
}

INSTANTIATE_TEST_SUITE_P(Engines, ParameterHashTest,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::cpu, EngineKind::cuda),
                         engine_name);

TEST(ParameterHash, OfDoublesTakesAllBits) {
  const std::vector<double> values = {1.0, 2.5};
  const std::uint64_t hash = hash_by(EngineKind::reference_f64, values);
  EXPECT_NE(hash_by(EngineKind::reference_f64, std::vector<double>{1.0, std::nextafter(2.5, 3.0)}), hash);
  EXPECT_EQ(hash_by(EngineKind::reference_f64, values), hash);
}

}  // namespace
}  // namespace convoy::testing
