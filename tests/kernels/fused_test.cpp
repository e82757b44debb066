// Fused calls on the GPU against the plain calls they stand for, on the reference in double.
#include "kernels/fused.h"

#include <set>

#include "tests/kernels/op_case.h"

namespace convoy::testing {
namespace {

/// The same variables, the same results, by other calls.
struct FusedCase {
  OpCase plain;
  std::vector<Call> fused;
};
void PrintTo(const FusedCase& fused, std::ostream* out) {
  *out << fused.plain.name;
}

constexpr LeakyReluEpilogue relu{0.0f}, leaky{0.1f};
Activation kind_of(const LeakyReluEpilogue& f) {
  return f.slope == 0.0f ? Activation::relu : Activation::leaky_relu;
}
std::string name_of(const LeakyReluEpilogue& f) {
  return f.slope == 0.0f ? "_relu" : "_leaky";
}

FusedCase conv_case(const std::string& name, const ConvShape& s, const LeakyReluEpilogue& f, bool with_bias) {
  FusedCase out;
  OpCase& op = out.plain;
  op.name = "conv_" + name + name_of(f);
  const Tensor x = op.input("x", uniform(s.n * s.in.count(), -1, 1, 1));
  const Tensor w = op.input("w", uniform(s.weights(), -1, 1, 2));
  const Tensor bias = with_bias ? op.input("bias", uniform(s.k, -1, 1, 3)) : Tensor{};
  const std::int64_t count = s.n * s.out().count();
  const Tensor product = op.result("product", count), y = op.result("y", count);
  op.calls = {ConvForward{s, x, w, bias, product}, ActivationForward{kind_of(f), f.slope, product, y}};
  out.fused = {ConvActivation{{{s, x, w, bias, y}, f, {}}}};
  return out;
}

/// Images [first, first + s.n) of global_n in groups of `group`; the moments, too, where all of them are
/// here.
FusedCase statistics_case(const std::string& name, const ConvShape& s, int first, int global_n, int group,
                          bool with_bias) {
  const BatchNormShape norm{s.n, first, global_n, group, s.out().pixels(), s.k};
  FusedCase out;
  OpCase& op = out.plain;
  op.name = "statistics_" + name;
  op.tolerance = 2e-5;
  const Tensor x = op.input("x", uniform(s.n * s.in.count(), -1, 1, 1));
  const Tensor w = op.input("w", uniform(s.weights(), -1, 1, 2));
  const Tensor bias = with_bias ? op.input("bias", uniform(s.k, 15, 16, 3)) : Tensor{};
  const std::int64_t moments = std::int64_t{norm.groups()} * s.k;
  const Tensor y = op.result("y", s.n * s.out().count());
  const Tensor sums = op.result("sums", 2 * moments, DType::f64);
  const ConvForward forward{s, x, w, bias, y};
  ConvStatistics fused{forward, norm, 0.25, sums, {}, {}, {}, {}};
  op.calls = {forward, fused.statistics()};
  if (s.n == global_n) {
    fused.mean = op.result("mean", moments), fused.inv_std = op.result("inv_std", moments);
    fused.batch_mean = op.result("batch mean", s.k), fused.batch_var = op.result("batch variance", s.k);
    op.calls.push_back(fused.moments());
  }
  out.fused = {fused};
  return out;
}

FusedCase linear_case(const LinearShape& s, const LeakyReluEpilogue& f, bool with_bias) {
  FusedCase out;
  OpCase& op = out.plain;
  op.name = fmt::format("linear_{}_{}_{}{}", s.n, s.c, s.k, name_of(f)) + (with_bias ? "" : "_no_bias");
  const Tensor x = op.input("x", uniform(std::int64_t{s.n} * s.c, -1, 1, 1));
  const Tensor w = op.input("w", uniform(std::int64_t{s.k} * s.c, -1, 1, 2));
  const Tensor bias = with_bias ? op.input("bias", uniform(s.k, -1, 1, 3)) : Tensor{};
  const std::int64_t count = std::int64_t{s.n} * s.k;
  const Tensor product = op.result("product", count), y = op.result("y", count);
  op.calls = {LinearForward{s, x, w, bias, product}, ActivationForward{kind_of(f), f.slope, product, y}};
  out.fused = {LinearActivation{{{s, x, w, bias, y}, f, {}}}};
  return out;
}

FusedCase bias_case(std::int64_t rows, int c, const LeakyReluEpilogue& f) {
  FusedCase out;
  OpCase& op = out.plain;
  op.name = fmt::format("bias_gradient_{}_{}{}", rows, c, name_of(f));
  const Tensor y = op.input("y", uniform(rows * c, -1, 1, 1));
  const Tensor dy = op.input("dy", uniform(rows * c, -1, 1, 2));
  const Tensor dx = op.result("dx", rows * c), db = op.result("db", c);
  op.calls = {ActivationBackward{kind_of(f), f.slope, y, dy, dx}, BiasGrad{rows, c, dx, db}};
  out.fused = {ActivationBiasGrad{rows, c, f, y, dy, dx, db}};
  return out;
}

/// An activation, the pooling behind it, and back through both.
FusedCase pool_case(const std::string& name, const PoolShape& s, const LeakyReluEpilogue& f, bool with_bias) {
  FusedCase out;
  OpCase& op = out.plain;
  op.name = "pool_" + name + name_of(f) + (with_bias ? "_bias" : "");
  const std::int64_t in = s.n * s.in.count(), pooled = s.n * s.out().count();
  // Ties at zero, as behind relu: the first zero wins, and gets no gradient.
  Values before = uniform(in, -1, 1, 1).values();
  for (double& value : before) value = value > 0 ? value : static_cast<float>(f.slope * value);
  const Tensor x = op.input("x", std::move(before));
  const Tensor y = op.result("y", pooled), argmax = op.result("argmax", pooled, DType::u8);
  const Tensor dy = op.input("dy", uniform(pooled, -1, 1, 2));
  const Tensor routed = op.result("routed", in), dx = op.result("dx", in);
  const Tensor db = with_bias ? op.result("db", s.in.c) : Tensor{};
  const Call forward = MaxPoolForward{s, x, y, argmax};
  op.calls = {forward, MaxPoolBackward{s, dy, argmax, routed},
              ActivationBackward{kind_of(f), f.slope, x, routed, dx}};
  if (with_bias) op.calls.push_back(BiasGrad{s.n * s.in.pixels(), s.in.c, dx, db});
  out.fused = {forward, MaxPoolActivationBackward{{s, dy, argmax, dx}, f, y, db}};
  return out;
}

enum class Shortcut { none, summed, summed_twice };  ///< twice: of the gradients, too

/// Normalisation, sum, activation, and back to dx.
FusedCase batchnorm_case(const std::string& name, const BatchNormShape& s, const LeakyReluEpilogue& f,
                         Shortcut shortcut) {
  const bool summed = shortcut != Shortcut::none, twice = shortcut == Shortcut::summed_twice;
  FusedCase out;
  OpCase& op = out.plain;
  op.name = "batchnorm_" + name + name_of(f) + (twice ? "_summed_twice" : summed ? "_summed" : "");
  op.tolerance = 2e-5;
  const std::int64_t count = s.count(), moments = std::int64_t{s.groups()} * s.c;
  const Tensor x = op.input("x", uniform(count, -1, 2, 1));
  const Tensor gamma = op.input("gamma", uniform(s.c, 0.5, 1.5, 2));
  const Tensor beta = op.input("beta", uniform(s.c, -1, 1, 3));
  const Tensor mean = op.input("mean", uniform(moments, 0.3, 0.7, 4));
  const Tensor inv_std = op.input("inv_std", uniform(moments, 0.8, 1.2, 5));
  const Tensor dy = op.input("dy", uniform(count, -1, 1, 6));
  const Tensor term = twice ? op.input("term", uniform(count, -1, 1, 10)) : Tensor{};
  const Tensor whole_dy = twice ? op.result("dy + term", count) : dy;
  const Tensor residual = summed ? op.input("residual", uniform(count, -1, 1, 7)) : Tensor{};
  const Tensor normalized = op.result("normalized", count);
  const Tensor sum = summed ? op.result("sum", count) : normalized;
  const Tensor y = op.result("y", count), inferred = op.result("inferred", count);
  const Tensor inferred_normalized = op.result("inferred normalized", count);
  const Tensor inferred_sum = summed ? op.result("inferred sum", count) : inferred_normalized;
  const Tensor masked = op.result("masked dy", count), dx = op.result("dx", count);
  const Tensor sums = op.result("sums", 2 * moments, DType::f64);
  const Tensor dgamma = op.result("dgamma", s.c), dbeta = op.result("dbeta", s.c);
  const Tensor running_mean = op.input("running_mean", uniform(s.c, 0.3, 0.7, 8));
  const Tensor running_var = op.input("running_var", uniform(s.c, 0.8, 1.2, 9));

  const BatchNormForward forward{s, x, mean, inv_std, gamma, beta, normalized};
  const BatchNormInference inference{s, x, running_mean, running_var, gamma, beta, inferred_normalized};
  const BatchNormReduce reduce{s, x, masked, mean, inv_std, sums, dgamma, dbeta};
  const BatchNormBackward backward{s, x, masked, mean, inv_std, gamma, sums, dx};
  op.calls = {forward, inference};
  if (summed) op.calls.push_back(Add{normalized, residual, sum});
  if (summed) op.calls.push_back(Add{inferred_normalized, residual, inferred_sum});
  op.calls.push_back(ActivationForward{kind_of(f), f.slope, sum, y});
  op.calls.push_back(ActivationForward{kind_of(f), f.slope, inferred_sum, inferred});
  if (twice) op.calls.push_back(Add{dy, term, whole_dy});
  op.calls.push_back(ActivationBackward{kind_of(f), f.slope, y, whole_dy, masked});
  op.calls.push_back(reduce);
  op.calls.push_back(backward);

  BatchNormActivation fused_forward{{forward, f, residual}};
  fused_forward.plain.y = y;
  BatchNormInferenceActivation fused_inference{{inference, f, residual}};
  fused_inference.plain.y = inferred;
  out.fused = {fused_forward, fused_inference};
  if (summed) {
    out.fused.push_back(ActivationBatchNormReduce{reduce, f, y, dy, term});
    out.fused.push_back(backward);
  } else {
    BatchNormActivationReduce fused_reduce{reduce, f, gamma, beta};
    BatchNormActivationBackward fused_backward{backward, f, beta};
    fused_reduce.plain.dy = fused_backward.plain.dy = dy;
    out.fused.push_back(fused_reduce);
    out.fused.push_back(fused_backward);
  }
  return out;
}

ConvShape conv(int n, int size, int c, int k, int kernel, int stride, int pad) {
  ConvShape s;
  s.n = n, s.in = {1, size, size, c}, s.k = k, s.r = s.s = kernel;
  s.stride = {1, stride, stride}, s.pad = {0, pad, pad};
  return s;
}
PoolShape pool(int n, int size, int c, int kernel, int stride, int pad) {
  return {n, {1, size, size, c}, {1, kernel, kernel}, {1, stride, stride}, {0, pad, pad}};
}
BatchNormShape normalisation(int n, int first, int global_n, int group, std::int64_t pixels, int c) {
  return {n, first, global_n, group, pixels, c};
}

std::vector<FusedCase> cases() {
  std::vector<FusedCase> all{
      // 63 pixels; 729 and 264 filters, more than any tile; whole groups; pixels of two groups next to each
      // other
      statistics_case("few", conv(7, 3, 8, 16, 3, 1, 1), 0, 7, 7, false),
      statistics_case("ragged", conv(9, 9, 16, 264, 1, 1, 0), 0, 9, 9, false),
      statistics_case("far_from_zero", conv(9, 9, 16, 40, 3, 1, 1), 0, 9, 9, true),
      statistics_case("strided", conv(5, 17, 72, 136, 3, 2, 1), 0, 5, 5, false),
      statistics_case("deep", conv(3, 8, 128, 64, 3, 1, 1), 0, 3, 3, false),
      statistics_case("many", conv(70, 32, 8, 8, 1, 1, 0), 0, 70, 70, false),
      statistics_case("groups", conv(7, 8, 16, 32, 3, 1, 1), 0, 7, 3, true),
      statistics_case("groups_of_a_rank", conv(7, 8, 16, 32, 3, 1, 1), 2, 12, 3, false),
      statistics_case("groups_elsewhere", conv(3, 7, 16, 32, 3, 1, 1), 3, 12, 3, false),
      statistics_case("groups_that_share_pixels", conv(7, 7, 16, 32, 3, 1, 1), 2, 12, 3, false),
      statistics_case("first_layer", conv(3, 9, 3, 32, 3, 1, 1), 0, 3, 3, false),
      statistics_case("odd", conv(3, 7, 5, 7, 3, 2, 1), 0, 3, 3, true),
      statistics_case("no_image", conv(0, 8, 16, 32, 3, 1, 1), 4, 4, 4, false),
  };
  for (const LeakyReluEpilogue& f : {relu, leaky}) {
    all.push_back(conv_case("first_layer", conv(3, 9, 1, 32, 3, 1, 1), f, true));
    all.push_back(conv_case("first_layer_odd", conv(2, 7, 3, 5, 3, 2, 1), f, true));
    all.push_back(conv_case("first_layer_eights", conv(3, 10, 3, 40, 3, 1, 1), f, true));
    all.push_back(conv_case("quads", conv(3, 9, 8, 36, 3, 1, 1), f, true));
    all.push_back(conv_case("no_bias", conv(2, 8, 16, 8, 1, 1, 0), f, false));
    all.push_back(conv_case("odd", conv(3, 7, 5, 7, 3, 2, 1), f, true));
    all.push_back(conv_case("no_image", conv(0, 7, 5, 7, 3, 2, 1), f, true));
    all.push_back(linear_case({5, 37, 10}, f, true));
    all.push_back(linear_case({7, 33, 130}, f, true));
    all.push_back(linear_case({7, 33, 130}, f, false));
    all.push_back(linear_case({0, 8, 70}, f, true));
    all.push_back(bias_case(33, 128, f));
    all.push_back(bias_case(5000, 32, f));
    all.push_back(bias_case(1234, 7, f));
    all.push_back(bias_case(0, 8, f));
    all.push_back(pool_case("halves", pool(3, 8, 32, 2, 2, 0), f, true));
    all.push_back(pool_case("halves", pool(3, 8, 32, 2, 2, 0), f, false));
    all.push_back(pool_case("odd_channels", pool(2, 6, 7, 3, 3, 0), f, true));
    all.push_back(pool_case("many", pool(40, 14, 16, 2, 2, 0), f, true));
    all.push_back(pool_case("volume", {2, {4, 6, 4, 8}, {2, 3, 2}, {2, 3, 2}, {0, 0, 0}}, f, true));
    all.push_back(pool_case("overlap", pool(3, 9, 8, 3, 2, 1), f, false));
    all.push_back(pool_case("leftover", pool(2, 7, 5, 2, 2, 0), f, false));
    all.push_back(pool_case("no_image", pool(0, 8, 8, 2, 2, 0), f, true));
    for (const Shortcut shortcut : {Shortcut::none, Shortcut::summed, Shortcut::summed_twice}) {
      all.push_back(batchnorm_case("whole", normalisation(6, 0, 6, 6, 50, 32), f, shortcut));
      all.push_back(batchnorm_case("groups", normalisation(7, 2, 12, 3, 9, 5), f, shortcut));
      all.push_back(batchnorm_case("groups_of_eights", normalisation(21, 11, 64, 8, 75, 40), f, shortcut));
      all.push_back(batchnorm_case("wide", normalisation(2, 0, 4, 4, 5, 260), f, shortcut));
      all.push_back(batchnorm_case("no_image", normalisation(0, 4, 4, 4, 5, 8), f, shortcut));
    }
  }
  return all;
}

/// What a fused call writes is rounded once, wide linear layers' y twice (linear_test.cpp). Only dx of batch
/// normalisation is computed from a rounded result, the masked dy, times gamma inv_std < 2: three.
std::vector<FusedCase> cases_in_16_bits() {
  std::vector<FusedCase> all;
  for (const FusedCase& fused : cases()) {
    for (OpCase& plain : in_16_bits(
             {fused.plain}, {"x", "w", "y", "dy", "dx", "residual", "term", "inferred", "masked dy"}, 3)) {
      all.push_back({std::move(plain), fused.fused});
    }
  }
  return all;
}

class FusedTest : public ::testing::TestWithParam<FusedCase> {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
  static OpCase fused() {
    OpCase op = GetParam().plain;
    op.calls = GetParam().fused;
    return op;
  }
};

TEST_P(FusedTest, cuda_against_plain_reference) {
  struct Written {
    std::set<std::int64_t> variables;
    void reads(const Tensor&) const {}
    void writes(const Tensor& t) {
      if (t) variables.insert(t.offset);
    }
    void updates(const Tensor& t) { writes(t); }
  } written;
  const OpCase& plain = GetParam().plain;
  for (const Call& call : GetParam().fused) visit_tensors(call, written);
  ASSERT_FALSE(written.variables.empty());
  const std::vector<Values> expected = OpRunner(plain, EngineKind::reference_f64).run();
  const std::vector<Values> actual = OpRunner(fused(), EngineKind::cuda).run();
  for (const std::int64_t id : written.variables) {
    const Variable& variable = plain.variables[static_cast<std::size_t>(id)];
    expect_close(variable.name, expected[static_cast<std::size_t>(id)], actual[static_cast<std::size_t>(id)],
                 variable.tensor.dtype, plain.tolerance);
  }
}

TEST_P(FusedTest, cuda_repeats_bits) {
  expect_repeated_bits(fused(), EngineKind::cuda);
}

INSTANTIATE_TEST_SUITE_P(Fused, FusedTest, ::testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.plain.name; });
INSTANTIATE_TEST_SUITE_P(FusedStorage, FusedTest, ::testing::ValuesIn(cases_in_16_bits()),
                         [](const auto& instance) { return instance.param.plain.name; });

// Forward stores what is too small for the type as zero, through which no gradient flows; a mask computed
// anew must not know better.
TEST(FusedCalls, cuda_masks_what_was_stored_as_zero) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const BatchNormShape shape = normalisation(6, 0, 6, 6, 50, 32);
  const FusedCase fused = batchnorm_case("tiny", shape, relu, Shortcut::none);
  OpCase op =
      in_storage(fused.plain, DType::f16,
                 {"x", "normalized", "y", "inferred normalized", "inferred", "dy", "masked dy", "dx"}, 1e-5);
  for (Variable& variable : op.variables) {
    if (variable.name != "gamma" && variable.name != "beta") continue;
    variable.initial = uniform(shape.c, 1e-8, 5e-8, 2);  // f16 rounds below 3e-8 to zero
  }
  const std::vector<Values> plain = OpRunner(op, EngineKind::cuda).run();
  op.calls = fused.fused;
  const std::vector<Values> actual = OpRunner(op, EngineKind::cuda).run();
  for (std::size_t i = 0; i < op.variables.size(); ++i) {
    const Variable& variable = op.variables[i];
    if (variable.name != "dgamma" && variable.name != "dbeta") continue;
    expect_close(variable.name, plain[i], actual[i], variable.tensor.dtype, op.tolerance);
  }
}

// What the host engines do with a call they lack.
TEST(FusedCalls, AreRefusedByAnEngineWithoutThem) {
  const FusedCase fused = bias_case(3, 2, relu);
  OpCase op = fused.plain;
  op.calls = fused.fused;
  for (const EngineKind kind : {EngineKind::reference_f64, EngineKind::cpu}) {
    EXPECT_THROW(OpRunner(op, kind).run(), Error);
  }
}

}  // namespace
}  // namespace convoy::testing
