// What benchmarks work out from plans and measurements; that they run is tests/cli's to show.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/bench/allreduce_bench.h"
#include "src/bench/bench_session.h"
#include "src/bench/figures.h"
#include "src/bench/ops_bench.h"
#include "src/bench/scaling_bench.h"
#include "src/bench/single_call.h"
#include "src/bench/step_bench.h"
#include "src/engine/tensor_values.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

constexpr std::int64_t far = 1 << 20;

ConvForward some_conv() {
  ConvShape shape{.n = 2, .in = {1, 5, 7, 3}, .k = 4, .r = 3, .s = 3, .stride = {1, 2, 2}, .pad = {0, 1, 1}};
  ConvForward call;
  call.shape = shape;
  call.x = {Arena::activations, DType::f32, 0, 2 * shape.in.count()};
  call.w = {Arena::parameters, DType::f32, 0, shape.weights()};
  call.bias = {Arena::parameters, DType::f32, far, shape.k};
  call.y = {Arena::activations, DType::f32, far, 2 * shape.out().count()};
  return call;
}

TEST(Bench, MedianIsTheMiddleOfTheSorted) {
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 3);
  EXPECT_THROW(median({}), Error);
}

TEST(Bench, GeometricMeanOfRatios) {
  EXPECT_NEAR(geometric_mean({0.5, 2, 8}), 2, 1e-12);
}

TEST(Bench, RatesHaveThreeDigitsAndAPrefix) {
  EXPECT_EQ(human_rate(0.5), "0.50 ");
  EXPECT_EQ(human_rate(999), "999 ");
  EXPECT_EQ(human_rate(999.9), "1.00 k");
  EXPECT_EQ(human_rate(86.43e9), "86.4 G");
  EXPECT_EQ(human_rate(4.3e12), "4.30 T");
}

TEST(Bench, MessagesGrowFourfoldUpToTheLargest) {
  EXPECT_EQ(message_sizes(256), (std::vector<std::int64_t>{256}));
  EXPECT_EQ(message_sizes(20000), (std::vector<std::int64_t>{256, 1024, 4096, 16384}));
  EXPECT_EQ(message_sizes(std::int64_t{256} << 20).back(), std::int64_t{256} << 20);
}

TEST(Bench, ScalingDoublesTheRanksUpToAll) {
  EXPECT_EQ(rank_counts(1), (std::vector<int>{1}));
  EXPECT_EQ(rank_counts(4), (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(rank_counts(6), (std::vector<int>{1, 2, 4, 6}));
}

TEST(Bench, EfficiencyIsOfWhatOneRankWouldDo) {
  const ScalingRow one{1, 100, 1.0, std::nullopt}, weak{4, 400, 1.25, 0.1}, strong{4, 100, 0.5, 0.1};
  EXPECT_DOUBLE_EQ(efficiency(one, one), 1.0);
  EXPECT_DOUBLE_EQ(efficiency(weak, one), 0.8);
  EXPECT_DOUBLE_EQ(efficiency(strong, one), 0.5);
}

TEST(Bench, AStepWithoutSumsKeepsAllElse) {
  const Tensor values{Arena::gradients, DType::f32, 0, 4};
  Plan plan;
  plan.steps = {{some_conv(), "0"}, {AllReduce{values}, "bucket"}, {Copy{}, "1"}, {Join{}, "optimizer"}};
  const Plan alone = without_sums(plan);
  ASSERT_EQ(alone.steps.size(), 2u);
  EXPECT_EQ(alone.steps[0].node, "0");
  EXPECT_EQ(alone.steps[1].node, "1");
}

TEST(Bench, LimitIsTheSlowerOfArithmeticAndMemoryCallByCall) {
  const Ceilings ceilings{100, 10};
  EXPECT_EQ(ceilings.seconds(200, 10), 2);
  EXPECT_EQ(ceilings.seconds(200, 50), 5);
  Plan plan;
  plan.steps.push_back({some_conv(), "0"});
  plan.steps.push_back({Copy{some_conv().x, some_conv().y}, "1"});
  EXPECT_DOUBLE_EQ(ceilings.seconds(plan),
                   ceilings.seconds(flops_of(plan.steps[0].call), bytes_of(plan.steps[0].call)) +
                       ceilings.seconds(0, bytes_of(plan.steps[1].call)));
}

TEST(Bench, OperandsComeFromTheFirstProduct) {
  Plan plan;
  plan.steps.push_back({Copy{}, "input"});
  ConvActivation fused;
  fused.plain = some_conv();
  fused.plain.math = Math::tf32;
  plan.steps.push_back({fused, "0"});
  EXPECT_EQ(operands_of(plan).math, Math::tf32);
  EXPECT_STREQ(name_of(operands_of(plan)), "tf32");
  plan.steps.back().call = some_conv();
  EXPECT_STREQ(name_of(operands_of(plan)), "f32");
}

TEST(Bench, EqualConvolutionsAreOneRowWithoutBias) {
  Plan plan;
  ConvForward elsewhere = some_conv(), strided = some_conv();
  elsewhere.x.offset = 4 * far, elsewhere.bias = {};
  strided.shape.stride = {1, 1, 1};
  strided.y.count = 2 * strided.shape.out().count();
  plan.steps = {{some_conv(), "0"}, {elsewhere, "1"}, {strided, "2"}, {Copy{}, "3"}};
  const std::vector<OpRow> convolutions = distinct_calls(plan, false);
  ASSERT_EQ(convolutions.size(), 2u);
  EXPECT_EQ(convolutions[0].node, "0");
  EXPECT_EQ(convolutions[0].count, 2);
  EXPECT_FALSE(std::get<ConvForward>(convolutions[0].call).bias);
  EXPECT_EQ(convolutions[1].count, 1);
  const std::vector<OpRow> all = distinct_calls(plan, true);
  ASSERT_EQ(all.size(), 4u) << "with and without bias are two, and the copy";
  EXPECT_TRUE(std::get<ConvForward>(all[0].call).bias);
}

TEST(Bench, ACallByItselfKeepsItsTensorsApartAndItsAliases) {
  const auto engine = make_engine(EngineKind::cpu, ranks());
  const Plan conv = plan_of_call(some_conv(), "0", *engine);
  const auto& call = std::get<ConvForward>(conv.steps.at(0).call);
  const Tensor tensors[] = {call.x, call.w, call.bias, call.y};
  for (const Tensor& a : tensors) {
    EXPECT_EQ(a.arena, Arena::activations);
    EXPECT_LE(a.offset + a.bytes(), conv.arenas[static_cast<std::size_t>(Arena::activations)]);
    for (const Tensor& b : tensors) {
      EXPECT_TRUE(a == b || a.offset + a.bytes() <= b.offset || b.offset + b.bytes() <= a.offset);
    }
  }
  const Tensor x = some_conv().x;
  const Plan relu = plan_of_call(ActivationForward{Activation::relu, 0, x, x}, "1", *engine);
  const auto& in_place = std::get<ActivationForward>(relu.steps.at(0).call);
  EXPECT_EQ(in_place.x, in_place.y);
}

TEST(Bench, TensorsAreFilledToTheEnd) {
  const auto engine = make_engine(EngineKind::cpu, ranks());
  constexpr std::int64_t count = (1 << 20) + 1000;  // longer than the pattern
  const Plan plan = plan_of_call(
      Copy{{Arena::unplaced, DType::f32, 0, count}, {Arena::unplaced, DType::u8, 1, count}}, "copy", *engine);
  const auto& call = std::get<Copy>(plan.steps.at(0).call);
  engine->allocate(plan.arenas);
  fill_at_random(*engine, plan);
  const std::vector<double> values = read_values(*engine, call.from);
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  EXPECT_NEAR(sum / static_cast<double>(count), 0, 0.01);
  EXPECT_NEAR(squares / static_cast<double>(count), 1.0 / 3, 0.01);
  for (std::size_t i = values.size() - 1000; i < values.size(); ++i) EXPECT_NE(values[i], 0) << i;
  std::vector<std::uint8_t> bytes(count, 1);
  engine->read(call.to, bytes.data());
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), count);
}

/// time() does what run() does, and takes time.
void expect_time_executes(EngineKind kind) {
  const auto engine = make_engine(kind, ranks());
  const Tensor from{Arena::unplaced, DType::u8, 0, far}, to{Arena::unplaced, DType::u8, 1, far};
  const Plan plan = plan_of_call(Copy{from, to}, "copy", *engine);
  const auto& call = std::get<Copy>(plan.steps.at(0).call);
  engine->allocate(plan.arenas);
  const int handle = engine->load(plan);
  for (const double seconds : times_of(*engine, handle, 5, 1.0)) EXPECT_GT(seconds, 0);
  std::vector<std::uint8_t> bytes(far, 7);
  engine->write(call.from, bytes.data());
  EXPECT_GT(engine->time(handle, {}), 0);
  std::vector<std::uint8_t> copied(far);
  engine->read(call.to, copied.data());
  EXPECT_EQ(bytes, copied);
}
TEST(EngineTime, reference) {
  expect_time_executes(EngineKind::reference_f32);
}
TEST(EngineTime, cpu) {
  expect_time_executes(EngineKind::cpu);
}
TEST(EngineTime, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  expect_time_executes(EngineKind::cuda);
}

/// What any GPU with tensor cores does, give or take: the probes are neither optimised away nor idle.
TEST(Ceilings, cuda_rates_are_those_of_a_gpu) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  Config config;
  config.device = Device::cuda;
  const Ceilings full = measure_ceilings(config, {DType::f32, Math::fp32}, ranks());
  EXPECT_GT(full.flops_per_second, 1e12);
  EXPECT_LT(full.flops_per_second, 3e14);
  EXPECT_GT(full.bytes_per_second, 1e11);
  EXPECT_LT(full.bytes_per_second, 3e13);
}

TEST(Bench, RequestsDescribeTheConvolution) {
  ConvForward call = some_conv();
  call.math = Math::tf32;
  const auto request = nlohmann::json::parse(rival_request(call));
  EXPECT_EQ(request, nlohmann::json::parse(R"({"call": "conv.fprop", "type": "f32", "tf32": true, "n": 2,
      "in": [1, 5, 7], "c": 3, "k": 4, "out": [1, 3, 4], "kernel": [1, 3, 3], "stride": [1, 2, 2],
      "pad": [0, 1, 1], "dilation": [1, 1, 1], "groups": 1})"));
  EXPECT_EQ(rival_request(Copy{}), "");
}

TEST(Bench, RandomDataFitsItsShapeAndClasses) {
  const Dataset data = random_dataset({1, 4, 5, 3}, 7, 50);
  EXPECT_EQ(data.images.size(), 50u * 60);
  EXPECT_EQ(data.train.size(), 50u);
  EXPECT_TRUE(data.validation.empty());
  EXPECT_NE(std::vector(data.images.begin(), data.images.begin() + 60),
            std::vector(data.images.begin() + 60, data.images.begin() + 120));
  for (const std::int32_t label : data.labels) EXPECT_TRUE(label >= 0 && label < 7);
}

}  // namespace
}  // namespace convoy::testing
