// Every layer's forms, and what each refuses.
#include "tests/config/support.h"

namespace convoy {
namespace {

using testing::layer;
using testing::layer_refusal;
using ::testing::TestWithParam;

TEST(Layers, Conv) {
  const LayerConfig full = layer(
      "conv: {out: 32, kernel: [3, 5], pad: same, stride: 2, dilation: [1, 2], bias: false, init: glorot}");
  const auto& conv = std::get<ConvConfig>(full.layer);
  EXPECT_EQ(conv.out, 32);
  EXPECT_EQ(conv.kernel, (AxisValues{3, 5}));
  EXPECT_EQ(conv.stride, AxisValues{2});
  EXPECT_EQ(conv.dilation, (AxisValues{1, 2}));
  EXPECT_FALSE(conv.pad);
  EXPECT_FALSE(conv.bias);
  EXPECT_EQ(std::get<ConvConfig>(full.layer).init, Init::glorot);
  EXPECT_EQ(full.mark.text(), "net.yaml:4");

  const LayerConfig brief = layer("conv: {out: 1, kernel: 2}");
  const auto& plain = std::get<ConvConfig>(brief.layer);
  EXPECT_EQ(plain.pad, AxisValues{0});
  EXPECT_EQ(plain.stride, AxisValues{1});
  EXPECT_TRUE(plain.bias);
  EXPECT_EQ(std::get<ConvConfig>(brief.layer).init, Init::he);
  EXPECT_EQ(std::get<ConvConfig>(layer("conv: {out: 1, kernel: 3, pad: [1, 0]}").layer).pad,
            (AxisValues{1, 0}));
}

TEST(Layers, Linear) {
  EXPECT_EQ(std::get<LinearConfig>(layer("linear: 128").layer).out, 128);
  EXPECT_TRUE(std::get<LinearConfig>(layer("linear: 128").layer).bias);
  const LayerConfig full = layer("linear: {out: 5, bias: false, init: dirac}");
  EXPECT_EQ(std::get<LinearConfig>(full.layer).out, 5);
  EXPECT_FALSE(std::get<LinearConfig>(full.layer).bias);
  EXPECT_EQ(std::get<LinearConfig>(full.layer).init, Init::dirac);
}

TEST(Layers, Pools) {
  const auto max = std::get<PoolConfig>(layer("maxpool: 2").layer);
  EXPECT_TRUE(max.mode == PoolConfig::Mode::max);
  EXPECT_EQ(max.kernel, AxisValues{2});
  EXPECT_TRUE(max.stride.empty());
  const auto avg = std::get<PoolConfig>(layer("avgpool: {kernel: [3, 2], stride: 2, pad: 1}").layer);
  EXPECT_FALSE(avg.mode == PoolConfig::Mode::max);
  EXPECT_EQ(avg.kernel, (AxisValues{3, 2}));
  EXPECT_EQ(avg.stride, AxisValues{2});
  EXPECT_EQ(avg.pad, AxisValues{1});
  EXPECT_EQ(std::get<PoolConfig>(layer("maxpool: [2, 3]").layer).kernel, (AxisValues{2, 3}));
  EXPECT_EQ(std::get<PoolConfig>(layer("globalavgpool").layer).mode, PoolConfig::Mode::global_average);
  const auto uncounted =
      std::get<PoolConfig>(layer("avgpool: {kernel: 3, ceil: true, count_padding: false}").layer);
  EXPECT_TRUE(uncounted.ceil);
  EXPECT_FALSE(uncounted.count_padding);
  const auto adaptive = std::get<PoolConfig>(layer("adaptive_avgpool: [6, 7]").layer);
  EXPECT_EQ(adaptive.mode, PoolConfig::Mode::adaptive_average);
  EXPECT_EQ(adaptive.size, (AxisValues{6, 7}));
}

TEST(Layers, BatchNorm) {
  EXPECT_EQ(std::get<BatchNormConfig>(layer("batchnorm").layer).group, 0);
  const auto full =
      std::get<BatchNormConfig>(layer("batchnorm: {group: 64, momentum: 0.2, epsilon: 1e-3}").layer);
  EXPECT_EQ(full.group, 64);
  EXPECT_EQ(full.momentum, 0.2f);
  EXPECT_EQ(full.epsilon, 1e-3f);
}

TEST(Layers, ActivationsDropoutFlatten) {
  const auto kind = [](const char* text) { return std::get<ActivationConfig>(layer(text).layer).kind; };
  EXPECT_EQ(kind("relu"), Activation::relu);
  EXPECT_EQ(kind("gelu"), Activation::gelu);
  EXPECT_EQ(kind("tanh"), Activation::tanh);
  EXPECT_EQ(kind("sigmoid"), Activation::sigmoid);
  EXPECT_EQ(kind("leaky_relu"), Activation::leaky_relu);
  EXPECT_EQ(std::get<ActivationConfig>(layer("leaky_relu: 0.2").layer).parameter, 0.2f);
  EXPECT_EQ(std::get<DropoutConfig>(layer("dropout: 0.25").layer).rate, 0.25f);
  EXPECT_EQ(std::get<DropoutConfig>(layer("dropout").layer).rate, 0.5f);
  EXPECT_TRUE(std::holds_alternative<FlattenConfig>(layer("flatten").layer));
}

TEST(Layers, Residual) {
  const LayerConfig block =
      layer("residual: {body: [relu, {residual: [tanh]}], shortcut: [{conv: {out: 1, kernel: 1}}]}");
  const auto& residual = std::get<ResidualConfig>(block.layer);
  ASSERT_EQ(residual.body.size(), 2u);
  EXPECT_EQ(std::get<ResidualConfig>(residual.body[1].layer).body.size(), 1u);
  EXPECT_EQ(residual.shortcut.size(), 1u);
  EXPECT_TRUE(std::get<ResidualConfig>(layer("residual: {body: [relu]}").layer).shortcut.empty());
}

TEST(Layers, Concat) {
  const auto brief = std::get<ConcatConfig>(layer("concat: [[relu], []]").layer);
  ASSERT_EQ(brief.lists.size(), 2u);
  EXPECT_EQ(brief.lists[0].size(), 1u);
  EXPECT_TRUE(brief.lists[1].empty());
  EXPECT_FALSE(brief.split);
  EXPECT_TRUE(std::get<ConcatConfig>(layer("concat: {branches: [[], []], split: true}").layer).split);
}

TEST(Layers, SqueezeExcite) {
  const auto brief = std::get<SqueezeExciteConfig>(layer("squeeze_excite: 8").layer);
  EXPECT_EQ(brief.squeeze, 8);
  EXPECT_EQ(brief.activation, Activation::relu);
  EXPECT_EQ(brief.gate, Activation::sigmoid);
  EXPECT_EQ(std::get<SqueezeExciteConfig>(layer("squeeze_excite: {squeeze: 8, gate: elu}").layer).gate,
            Activation::elu);
}

TEST(Layers, RepeatStandsForItsLayers) {
  const Config config = testing::parse(
      "model:\n  input: [1, 28, 28]\n  layers:\n    - "
      "repeat: {times: 2, layers: [tanh, {repeat: {times: 3, layers: [relu]}}]}\n    - linear: 10\n");
  const std::vector<LayerConfig>& layers = config.model.layers;
  ASSERT_EQ(layers.size(), 9u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(std::get<ActivationConfig>(layers[i].layer).kind,
              i % 4 == 0 ? Activation::tanh : Activation::relu);
    EXPECT_EQ(layers[i].mark.text(), "net.yaml:4");
  }
  EXPECT_EQ(to_yaml(config).find("repeat"), std::string::npos) << "what is resolved is spelled out";
}

struct Case {
  const char* layer;
  const char* message;
};

class BadLayer : public TestWithParam<Case> {};

TEST_P(BadLayer, IsRefusedByName) {
  const std::string message = layer_refusal(GetParam().layer);
  EXPECT_NE(message.find("net.yaml:4: model.layers[0]"), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadLayer,
    ::testing::Values(
        Case{"conf: {out: 1, kernel: 1}", R"(unknown layer "conf" (did you mean "conv"?))"},
        Case{"attention", "unknown layer \"attention\"; the layers are conv, linear, maxpool"},
        Case{"conv: {out: 1}", ".conv.kernel: missing; expected integer in [1, 1024]"},
        Case{"conv: {kernel: 1}", ".conv.out: missing"}, Case{"conv", ".conv.out: missing"},
        Case{"conv: 32", "expected a section with keys out, kernel"},
        Case{"conv: {out: 0, kernel: 3}", ".conv.out: out of range: expected integer in [1, 1048576], got 0"},
        Case{"batchnorm2d", R"(unknown layer "batchnorm2d" (did you mean "batchnorm"?))"},
        Case{"MaxPool2d: 2", R"(unknown layer "MaxPool2d" (did you mean "maxpool"?))"},
        Case{"ReLU", R"(unknown layer "ReLU" (did you mean "relu"?))"},
        Case{"dense: 3", R"(unknown layer "dense" (did you mean "linear"?))"},
        Case{"fc: 3", R"(unknown layer "fc" (did you mean "linear"?))"},
        Case{"dropout2d: 0.5", R"(unknown layer "dropout2d" (did you mean "dropout"?))"},
        Case{"AdaptiveAvgPool2d", R"(unknown layer "AdaptiveAvgPool2d" (did you mean "adaptive_avgpool"?))"},
        Case{"conv: {out: 1, kernel: 3, padding: 2}", R"(.conv.padding: unknown key (did you mean "pad"?))"},
        Case{"conv: {out: 1, kernel: 3, filters: 2}", R"(.conv.filters: unknown key (did you mean "out"?))"},
        Case{"conv: {out: 1, kernel: 3, kernal: 2}", R"(.conv.kernal: unknown key (did you mean "kernel"?))"},
        Case{"conv: {out: 1, kernel: 3, out: 2}", ".conv.out: given twice, first at net.yaml:4"},
        Case{"conv: {out: 1, kernel: [3, x]}", ".conv.kernel[1]: expected integer in [1, 1024], got \"x\""},
        Case{"conv: {out: 1, kernel: []}", ".conv.kernel: expected 1 to 3 values, got 0"},
        Case{"conv: {out: 1, kernel: [1, 1, 1, 1]}", ".conv.kernel: expected 1 to 3 values, got 4"},
        Case{"conv: {out: 1, kernel: 3, stride: 0}", ".conv.stride: out of range"},
        Case{"conv: {out: 1, kernel: 3, pad: -1}", ".conv.pad: out of range"},
        Case{"conv: {out: 1, kernel: 3, pad: valid}",
             ".conv.pad: expected same | integer in [0, 1024], or a list, got \"valid\""},
        Case{"conv: {out: 1, kernel: 3, bias: 1}", ".conv.bias: expected true or false, got \"1\""},
        Case{"conv: {out: 1, kernel: 3, init: hee}",
             "expected he | glorot | dirac, got \"hee\" (did you mean \"he\"?)"},
        Case{"linear", ".linear.out: missing"}, Case{"linear: ", "got nothing"},
        Case{"linear: -3", ".linear.out: out of range"}, Case{"linear: 3.5", ".linear.out: expected integer"},
        Case{"linear: {units: 3}", ".linear.units: unknown key"}, Case{"maxpool", ".maxpool.kernel: missing"},
        Case{"globalavgpool: 2", "takes no arguments, got \"2\""}, Case{"relu: 0.1", "takes no arguments"},
        Case{"relu: {slope: 1}", "takes no arguments, got a map"}, Case{"flatten: [1]", "takes no arguments"},
        Case{"batchnorm: 64", "expected a section with keys group, momentum, epsilon"},
        Case{"batchnorm: {group: -1}", ".batchnorm.group: out of range"},
        Case{"batchnorm: {momentum: 0}",
             ".batchnorm.momentum: out of range: expected number in (0, 1], got 0"},
        Case{"batchnorm: {epsilon: 0}", ".batchnorm.epsilon: out of range"},
        Case{"dropout: 1", ".dropout.rate: out of range: expected number in [0, 1), got 1"},
        Case{"dropout: half", ".dropout.rate: expected number in [0, 1), got \"half\""},
        Case{"leaky_relu: -1", ".leaky_relu.slope: out of range"},
        Case{"residual", ".residual.body: missing"},
        Case{"residual: {body: []}", ".residual.body: expected at least one layer"},
        Case{"residual: {body: relu}", ".residual.body: expected a list of layers, got \"relu\""},
        Case{"residual: {body: [relu], shortcut: [linear: x]}",
             ".residual.shortcut[0].linear.out: expected integer"},
        Case{"repeat", ".repeat.times: missing"},
        Case{"repeat: {times: 0, layers: [relu]}", ".repeat.times: out"},
        Case{"repeat: {times: 2, layers: [rellu]}",
             R"(.repeat.layers[0]: unknown layer "rellu" (did you mean "relu"?))"},
        Case{"repeat: {times: 2, layers: [relu], body: [relu]}", ".repeat.body: unknown key"},
        Case{"repeat: {times: 101, layers: [{repeat: {times: 100, layers: [relu]}}]}",
             "more than 10000 layers"},
        Case{"repeat: {times: 5001, layers: [{residual: [relu]}]}", "more than 10000 layers"},
        Case{"repaet: {times: 2, layers: [relu]}", R"(did you mean "repeat"?)"},
        Case{"elu: -1", ".elu.alpha: out of range"}, Case{"concat", ".concat.branches: missing"},
        Case{"concat: [[relu]]", ".concat.branches: expected 2 to 64 lists of layers, got 1"},
        Case{"concat: [relu, tanh]", ".concat.branches[0]: expected a list of layers, got \"relu\""},
        Case{"concat: [[relu], [rellu]]", ".concat.branches[1][0]: unknown layer \"rellu\""},
        Case{"concat: {branches: [[], []], split: 2}", ".concat.split: expected true or false"},
        Case{"scale", ".scale.branch: missing"},
        Case{"scale: []", ".scale.branch: expected at least one layer"},
        Case{"squeeze_excite: 0", ".squeeze_excite.squeeze: out of range"},
        Case{"squeeze_excite: {squeeze: 2, gate: sigmoidd}", R"((did you mean "sigmoid"?))"},
        Case{"channel_shuffle", ".channel_shuffle.groups: missing"},
        Case{"groupnorm", ".groupnorm.groups: missing"},
        Case{"layernorm: {eps: 1}", R"(.layernorm.eps: unknown key (did you mean "epsilon"?))"},
        Case{"drop_path: 1", ".drop_path.rate: out of range: expected number in [0, 1), got 1"},
        Case{"layer_scale: x", ".layer_scale.initial: expected number"},
        Case{"SqueezeExcitation: 4", R"((did you mean "squeeze_excite"?))"},
        Case{"GroupNorm: 4", R"((did you mean "groupnorm"?))"},
        Case{"StochasticDepth: 0.1", R"((did you mean "drop_path"?))"},
        Case{"[relu, relu]", "expected one of conv"}, Case{"{relu: 1, tanh: 2}", "got a map of 2 keys"},
        Case{"null", "got nothing"}));

TEST(Layers, EveryMistakeIsTold) {
  const std::string message = layer_refusal("rellu\n    - tanhh\n    - conv: {out: x, kernel: y}");
  for (const char* part :
       {"net.yaml:4: model.layers[0]", "net.yaml:5: model.layers[1]", "net.yaml:6: model.layers[2].conv.out",
        "net.yaml:6: model.layers[2].conv.kernel"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace convoy
