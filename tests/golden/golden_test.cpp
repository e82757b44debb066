// Every layer against PyTorch: outputs, gradients, running statistics, optimizer steps.
#include "kernels/calls.h"
#include "kernels/channels.h"
#include "kernels/groupnorm.h"
#include "kernels/layernorm.h"
#include "tests/golden/golden_file.h"

namespace convoy::testing {
namespace {

const GoldenFile& layers() {
  static const GoldenFile file = read_golden("layers.safetensors");
  return file;
}

std::vector<std::string> layer_names() {
  std::vector<std::string> names;
  for (const auto& [name, unused] : layers().cases) names.push_back(name);
  return names;
}

Axes axes(const nlohmann::json& value) {
  return value.get<Axes>();
}

/// A golden case as calls, and what they must give.
struct GoldenCase {
  explicit GoldenCase(const std::string& name) : attributes(layers().attributes(name)) { op.name = name; }

  bool has(const std::string& tensor) const { return layers().has(op.name + "/" + tensor); }
  const Values& values(const std::string& tensor) const { return layers().at(op.name + "/" + tensor); }
  const std::vector<std::int64_t>& shape(const std::string& tensor) const {
    return layers().shape(op.name + "/" + tensor);
  }
  int size(const std::string& tensor, std::size_t axis) const {
    return static_cast<int>(shape(tensor).at(axis));
  }
  /// (D,H,W,C) of a tensor (N,H,W,C) or (N,D,H,W,C).
  FeatureShape features(const std::string& tensor) const {
    const auto& s = shape(tensor);
    const bool volume = s.size() == 5;
    const auto at = [&](std::size_t i) { return static_cast<int>(s.at(i)); };
    return {volume ? at(1) : 1, at(s.size() - 3), at(s.size() - 2), at(s.size() - 1)};
  }

  Tensor input(const std::string& tensor, DType type = DType::f32) {
    return has(tensor) ? op.input(tensor, values(tensor), type) : Tensor{};
  }
  /// A result that must equal the golden tensor of this name.
  Tensor result(const std::string& tensor, DType type = DType::f32) {
    const Tensor declared = op.result(tensor, static_cast<std::int64_t>(values(tensor).size()), type);
    expect(declared, tensor);
    return declared;
  }
  void expect(const Tensor& declared, const std::string& tensor) { expected.emplace_back(declared, tensor); }

  OpCase op;
  nlohmann::json attributes;
  std::vector<std::pair<Tensor, std::string>> expected;
};

void add_conv(GoldenCase& g) {
  ConvShape s;
  s.n = g.size("x", 0), s.in = g.features("x"), s.k = g.size("w", 0);
  const FeatureShape filter = g.features("w");  // (T,R,S,C)
  s.t = filter.d, s.r = filter.h, s.s = filter.w;
  s.stride = axes(g.attributes["stride"]), s.pad = axes(g.attributes["pad"]);
  s.dilation = axes(g.attributes["dilation"]);
  EXPECT_EQ(s.out(), g.features("y"));
  const Tensor x = g.input("x"), w = g.input("w"), bias = g.input("bias"), dy = g.input("dy");
  g.op.calls = {ConvForward{s, x, w, bias, g.result("y")}, ConvDgrad{s, dy, w, g.result("dx")},
                ConvWgrad{s, x, dy, g.result("dw")}};
  if (bias) g.op.calls.emplace_back(BiasGrad{s.n * s.out().pixels(), s.k, dy, g.result("dbias")});
}

void add_linear(GoldenCase& g) {
  const LinearShape s{g.size("x", 0), g.size("x", 1), g.size("w", 0)};
  const Tensor x = g.input("x"), w = g.input("w"), bias = g.input("bias"), dy = g.input("dy");
  g.op.calls = {LinearForward{s, x, w, bias, g.result("y")}, LinearDgrad{s, dy, w, g.result("dx")},
                LinearWgrad{s, x, dy, g.result("dw")}};
  if (bias) g.op.calls.emplace_back(BiasGrad{s.n, s.k, dy, g.result("dbias")});
}

void add_pool(GoldenCase& g) {
  const PoolShape s{g.size("x", 0), g.features("x"), axes(g.attributes["kernel"]),
                    axes(g.attributes["stride"]), axes(g.attributes["pad"])};
  EXPECT_EQ(s.out(), g.features("y"));
  const Tensor x = g.input("x"), dy = g.input("dy"), y = g.result("y"), dx = g.result("dx");
  if (g.attributes["op"] == "avgpool") {
    g.op.calls = {AvgPoolForward{s, x, y}, AvgPoolBackward{s, dy, dx}};
    return;
  }
  const Tensor argmax = g.op.result("argmax", y.count, DType::u8);
  g.op.calls = {MaxPoolForward{s, x, y, argmax}, MaxPoolBackward{s, dy, argmax, dx}};
}

void add_batchnorm(GoldenCase& g) {
  BatchNormShape s;
  s.n = s.global_n = g.size("x", 0), s.group = g.attributes["group"];
  s.pixels = g.features("x").pixels(), s.c = g.features("x").c;
  const std::int64_t moments = std::int64_t{s.groups()} * s.c;
  const Tensor x = g.input("x"), dy = g.input("dy"), gamma = g.input("gamma"), beta = g.input("beta");
  const Tensor running_mean = g.input("running_mean"), running_var = g.input("running_var");
  g.expect(running_mean, "running_mean_after"), g.expect(running_var, "running_var_after");
  const Tensor batch_mean = g.op.result("batch mean", s.c), batch_var = g.op.result("batch variance", s.c);
  const Tensor momentum = g.op.input("momentum", Values(static_cast<std::size_t>(s.c), 0.1f));
  const Tensor sums = g.op.result("sums", 2 * moments, DType::f64);
  const Tensor mean = g.op.result("mean", moments), inv_std = g.op.result("inv_std", moments);
  const Tensor gradient_sums = g.op.result("gradient sums", 2 * moments, DType::f64);
  g.op.calls = {
      BatchNormStatistics{s, x, sums},
      BatchNormMoments{s, 1.0 / s.groups(), sums, mean, inv_std, batch_mean, batch_var},
      BatchNormRunning{batch_mean, running_mean, momentum},
      BatchNormRunning{batch_var, running_var, momentum},
      BatchNormForward{s, x, mean, inv_std, gamma, beta, g.result("y")},
      BatchNormInference{s, x, running_mean, running_var, gamma, beta, g.result("inference")},
      BatchNormReduce{s, x, dy, mean, inv_std, gradient_sums, g.result("dgamma"), g.result("dbeta")},
      BatchNormBackward{s, x, dy, mean, inv_std, gamma, gradient_sums, g.result("dx")}};
}

void add_layernorm(GoldenCase& g) {
  const auto c = static_cast<int>(g.values("gamma").size());
  const LayerNormShape s{static_cast<std::int64_t>(g.values("x").size()) / c, c};
  const Tensor x = g.input("x"), dy = g.input("dy"), gamma = g.input("gamma"), beta = g.input("beta");
  const Tensor mean = g.op.result("mean", s.rows), inv_std = g.op.result("inv_std", s.rows);
  g.op.calls = {LayerNormForward{s, x, gamma, beta, g.result("y"), mean, inv_std},
                LayerNormWgrad{s, x, dy, mean, inv_std, g.result("dgamma"), g.result("dbeta")},
                LayerNormBackward{s, x, dy, gamma, mean, inv_std, g.result("dx")}};
}

void add_groupnorm(GoldenCase& g) {
  const GroupNormShape s{g.size("x", 0), g.features("x").pixels(), g.features("x").c, g.attributes["groups"]};
  const Tensor x = g.input("x"), dy = g.input("dy"), gamma = g.input("gamma"), beta = g.input("beta");
  const Tensor mean = g.op.result("mean", s.images * s.groups);
  const Tensor inv_std = g.op.result("inv_std", s.images * s.groups);
  const Tensor sums = g.op.result("sums", 2 * s.images * s.groups);
  g.op.calls = {GroupNormStatistics{s, x, mean, inv_std},
                GroupNormForward{s, x, mean, inv_std, gamma, beta, g.result("y")},
                GroupNormReduce{s, x, dy, mean, inv_std, gamma, sums, g.result("dgamma"), g.result("dbeta")},
                GroupNormBackward{s, x, dy, mean, inv_std, gamma, sums, g.result("dx")}};
}

void add_channel_shuffle(GoldenCase& g) {
  const int c = g.features("x").c, groups = g.attributes["groups"];
  const std::int64_t rows = g.size("x", 0) * g.features("x").pixels();
  const Tensor x = g.input("x"), dy = g.input("dy");
  g.op.calls = {ShuffleChannels{rows, c, groups, x, g.result("y")},
                ShuffleChannels{rows, c, c / groups, dy, g.result("dx")}};
}

void add_activation(GoldenCase& g) {
  constexpr float parameter = 0.2f;  // of those that have one
  for_each_type(Activations{}, [&]<class A>() {
    if (g.attributes["kind"] != A::name) return;
    const Tensor x = g.input("x"), y = g.result("y"), dy = g.input("dy");
    g.op.calls = {ActivationForward{A::kind, parameter, x, y},
                  ActivationBackward{A::kind, parameter, A::needs_input ? x : y, dy, g.result("dx")}};
  });
}

void add_cross_entropy(GoldenCase& g) {
  const int n = g.size("logits", 0), classes = g.size("logits", 1);
  const Tensor logits = g.input("logits"), labels = g.input("labels", DType::i32);
  g.op.calls = {SoftmaxCrossEntropy{n, classes, n, g.attributes["smoothing"], logits, labels,
                                    g.result("loss"), g.result("hits", DType::i32), g.result("dlogits")}};
}

void add_weighted_loss(GoldenCase& g) {
  const int n = g.size("logits", 0), classes = g.size("logits", 1);
  g.op.state.blend.share = g.attributes["share"];
  SoftmaxCrossEntropy call;
  call.n = call.global_n = n, call.classes = classes;
  call.smoothing = g.attributes["smoothing"], call.gamma = g.attributes["gamma"];
  call.logits = g.input("logits"), call.class_weights = g.input("weights");
  call.labels = g.input("labels", DType::i32), call.partner_labels = g.input("partners", DType::i32);
  call.loss = g.result("loss"), call.hits = g.result("hits", DType::i32), call.dlogits = g.result("dlogits");
  g.op.calls = {call};
}

void compare_layer(const std::string& name, EngineKind kind, double tolerance) {
  GoldenCase g(name);
  const std::string op = g.attributes["op"];
  if (op == "conv") add_conv(g);
  if (op == "linear") add_linear(g);
  if (op == "maxpool" || op == "avgpool") add_pool(g);
  if (op == "batchnorm") add_batchnorm(g);
  if (op == "layernorm") add_layernorm(g);
  if (op == "groupnorm") add_groupnorm(g);
  if (op == "channel_shuffle") add_channel_shuffle(g);
  if (op == "activation") add_activation(g);
  if (op == "cross_entropy") add_cross_entropy(g);
  if (op == "weighted_loss") add_weighted_loss(g);
  ASSERT_FALSE(g.op.calls.empty()) << "no rule for " << op;
  const std::vector<Values> results = OpRunner(g.op, kind).run();
  for (const auto& [tensor, golden] : g.expected) {
    expect_close(golden, g.values(golden), results[static_cast<std::size_t>(tensor.offset)], tensor.dtype,
                 tolerance);
  }
}

/// Steps follow one another: each begins with the parameters and moments that the last one left.
void compare_optimizer(const std::string& name, EngineKind kind, double tolerance) {
  const GoldenCase g(name);
  const std::size_t count = g.values("parameters").size(), steps = g.values("after").size() / count;
  const std::string algorithm = g.attributes["kind"];
  Values parameters = g.values("parameters"), moment1(count, 0.0), moment2(count, 0.0);
  for (std::size_t step = 0; step < steps; ++step) {
    const auto row = [&](const Values& values) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(step * count);
      return Values(begin, begin + static_cast<std::ptrdiff_t>(count));
    };
    OpCase op;
    op.name = name;
    op.state.step = static_cast<std::int64_t>(step);
    op.state.learning_rate = static_cast<float>(g.values("rate")[0]);
    const Tensor w = op.input("parameters", parameters),
                 dw = op.input("gradients", row(g.values("gradients")));
    const Tensor decay = op.input("decay", g.values("decay"));
    const Tensor m1 = op.input("first moment", moment1), m2 = op.input("second moment", moment2);
    if (algorithm == "sgd") {
      const float momentum = g.attributes["momentum"];
      const std::vector<Tensor> velocity(momentum > 0 ? 1 : 0, m1);
      op.calls = {OptimizerStep{Sgd{momentum, g.attributes["nesterov"]}, w, dw, velocity, decay}};
    } else {
      op.calls = {OptimizerStep{Adam{.decoupled = algorithm == "adamw"}, w, dw, {m1, m2}, decay}};
    }
    const std::vector<Values> results = OpRunner(op, kind).run();
    parameters = results[0], moment1 = results[3], moment2 = results[4];
    expect_close(name + " step " + std::to_string(step), row(g.values("after")), parameters, DType::f32,
                 tolerance);
  }
}

void compare(const std::string& name, EngineKind kind, double tolerance) {
  if (layers().attributes(name).at("op") == "optimizer") return compare_optimizer(name, kind, tolerance);
  compare_layer(name, kind, tolerance);
}

class GoldenLayer : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenLayer, reference_in_double) {
  compare(GetParam(), EngineKind::reference_f64, 1e-12);
}
TEST_P(GoldenLayer, reference_in_float) {
  compare(GetParam(), EngineKind::reference_f32, 1e-5);
}
TEST_P(GoldenLayer, cpu) {
  compare(GetParam(), EngineKind::cpu, 1e-5);
}
TEST_P(GoldenLayer, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  compare(GetParam(), EngineKind::cuda, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(PyTorch, GoldenLayer, ::testing::ValuesIn(layer_names()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace convoy::testing
