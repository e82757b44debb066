// Names of layers, and what parameters are called by them.
#include <gtest/gtest.h>

#include <algorithm>

#include "src/model/graph.h"

namespace convoy::testing {
namespace {

Config config_of(const std::string& layers, const std::vector<std::string>& overrides = {}) {
  return parse_config("model:\n  input: [3, 8, 8]\n  layers:\n" + layers, "net.yaml", overrides);
}

Graph graph_of(const std::string& layers) {
  return build_graph(config_of(layers).model);
}

std::string refusal(const std::string& layers) {
  try {
    graph_of(layers);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

/// Of the parameters and running averages, in the order of the layers.
std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    for (const int i : node.parameters) names.push_back(graph.parameters[static_cast<std::size_t>(i)].name);
    if (const auto* norm = std::get_if<op::BatchNorm>(&node.op))
      for (const int i : {norm->running_mean, norm->running_var})
        names.push_back(graph.statistics[static_cast<std::size_t>(i)].name);
  }
  return names;
}

std::vector<std::string> names_of_nodes(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return names;
}

constexpr const char* resnet = R"(
    - conv: {out: 4, kernel: 7, stride: 2, pad: 3, bias: false}
      name: conv1
    - {batchnorm, name: bn1}
    - relu
    - residual:
        body:
          - {conv: {out: 8, kernel: 3, pad: 1, bias: false}, name: conv1}
          - {batchnorm: {}, name: bn1}
          - relu
          - {conv: {out: 8, kernel: 3, pad: 1, bias: false}, name: conv2}
          - {batchnorm, name: bn2}
        shortcut:
          - {conv: {out: 8, kernel: 1, bias: false}, name: downsample.0}
          - {batchnorm, name: downsample.1}
      name: layer1.0
    - relu
    - repeat:
        times: 1
        from: 1
        layers:
          - residual:
              - {conv: {out: 8, kernel: 3, pad: 1, bias: false}, name: conv1}
              - {batchnorm, name: bn1}
            name: layer1.{i}
    - globalavgpool
    - {linear: 10, name: fc}
)";

TEST(LayerNames, OfAResNetAreTorchvisions) {
  const std::vector<std::string> torchvision = {"conv1.weight",
                                                "bn1.weight",
                                                "bn1.bias",
                                                "bn1.running_mean",
                                                "bn1.running_var",
                                                "layer1.0.conv1.weight",
                                                "layer1.0.bn1.weight",
                                                "layer1.0.bn1.bias",
                                                "layer1.0.bn1.running_mean",
                                                "layer1.0.bn1.running_var",
                                                "layer1.0.conv2.weight",
                                                "layer1.0.bn2.weight",
                                                "layer1.0.bn2.bias",
                                                "layer1.0.bn2.running_mean",
                                                "layer1.0.bn2.running_var",
                                                "layer1.0.downsample.0.weight",
                                                "layer1.0.downsample.1.weight",
                                                "layer1.0.downsample.1.bias",
                                                "layer1.0.downsample.1.running_mean",
                                                "layer1.0.downsample.1.running_var",
                                                "layer1.1.conv1.weight",
                                                "layer1.1.bn1.weight",
                                                "layer1.1.bn1.bias",
                                                "layer1.1.bn1.running_mean",
                                                "layer1.1.bn1.running_var",
                                                "fc.weight",
                                                "fc.bias"};
  EXPECT_EQ(names_of(graph_of(resnet)), torchvision);
}

TEST(LayerNames, WithoutOnePositionsAreCounted) {
  const Graph graph = graph_of(resnet);
  const std::vector<std::string> nodes = names_of_nodes(graph);
  const auto has = [&](const char* name) { return std::count(nodes.begin(), nodes.end(), name) == 1; };
  EXPECT_TRUE(has("2"));
  EXPECT_TRUE(has("layer1.0.body.2")) << "an unnamed entry of a named block";
  EXPECT_TRUE(has("layer1.0"));
  EXPECT_TRUE(has("4"));
  EXPECT_TRUE(has("6"));
}

TEST(LayerNames, InsideAnUnnamedBlockStandAlone) {
  const Graph graph = graph_of(
      "    - residual: [{conv: {out: 3, kernel: 1, bias: false}, name: inner}, "
      "conv: {out: 3, kernel: 1, bias: false}]\n"
      "    - globalavgpool\n    - {linear: {out: 2, bias: false}, name: head}\n");
  EXPECT_EQ(names_of(graph), (std::vector<std::string>{"inner.weight", "0.body.1.weight", "head.weight"}));
}

TEST(LayerNames, OfRepeatsCountTheirRounds) {
  const Graph graph = graph_of(R"(
    - repeat:
        times: 2
        layers:
          - residual:
              - repeat: {times: 2, from: 1, layers: [{conv: {out: 3, kernel: 1, bias: false}, name: 'c{i}'}]}
              - {conv: {out: 3, kernel: 1, bias: false}, name: 'last{i}.{i}'}
            name: stage.{i}
    - globalavgpool
    - linear: {out: 2, bias: false}
)");
  EXPECT_EQ(names_of(graph),
            (std::vector<std::string>{"stage.0.c1.weight", "stage.0.c2.weight", "stage.0.last0.0.weight",
                                      "stage.1.c1.weight", "stage.1.c2.weight", "stage.1.last1.1.weight",
                                      "3.weight"}));
}

TEST(LayerNames, SurviveInTheResolvedConfiguration) {
  const Config config = config_of(resnet);
  const std::string text = to_yaml(config);
  EXPECT_NE(text.find("    - conv: {out: 4, kernel: 7, stride: 2, pad: 3"), std::string::npos) << text;
  EXPECT_NE(text.find("\n      name: conv1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n      name: layer1.1\n"), std::string::npos) << text;
  const Config again = parse_config(text, "again.yaml", {});
  EXPECT_TRUE(again.model.layers == config.model.layers);
  EXPECT_EQ(names_of(build_graph(again.model)), names_of(build_graph(config.model)));
}

TEST(LayerNames, CanBeSetOnTheCommandLine) {
  const std::string layers = "    - conv: {out: 3, kernel: 1}\n    - relu\n    - flatten\n    - linear: 2\n";
  const Config config = config_of(layers, {"model.layers[0].name=stem", "model.layers.1.name=act",
                                           "model.layers[3].name=fc", "model.layers[3].linear.bias=false"});
  const Graph graph = build_graph(config.model);
  EXPECT_EQ(names_of_nodes(graph), (std::vector<std::string>{"input", "stem", "act", "2", "fc"}));
  EXPECT_EQ(names_of(graph), (std::vector<std::string>{"stem.weight", "stem.bias", "fc.weight"}));
}

TEST(LayerNames, TwoOfOneNameAreRefusedWithBothPlaces) {
  EXPECT_EQ(refusal("    - {conv: {out: 3, kernel: 1}, name: a}\n    - {relu, name: a}\n    - linear: 2\n"),
            "net.yaml:5: model.layers: the name a is taken, by net.yaml:4; choose another");
  EXPECT_EQ(refusal("    - {conv: {out: 3, kernel: 1}, name: a}\n    - {relu, name: a.weight}\n"),
            "net.yaml:5: model.layers: the name a.weight is taken, by net.yaml:4; choose another");
  EXPECT_EQ(refusal("    - relu\n    - {tanh, name: '0'}\n"),
            "net.yaml:5: model.layers: the name 0 is taken, by net.yaml:4; choose another");
  EXPECT_EQ(
      refusal("    - repeat: {times: 2, layers: [{relu, name: a}]}\n"),
      "net.yaml:4: model.layers: the name a is taken by another layer of the same line; in a repeat, {i} "
      "in a name stands for the round");
}

struct Case {
  const char* layer;
  const char* message;
};

class BadName : public ::testing::TestWithParam<Case> {};

TEST_P(BadName, IsRefused) {
  const std::string message = refusal(std::string("    - ") + GetParam().layer + "\n");
  EXPECT_EQ(message, std::string("net.yaml:4: model.layers[0]") + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    LayerNames, BadName,
    ::testing::Values(
        Case{"{relu, name: a b}",
             ".name: expected at most 100 letters, digits, '_', '-', '.', with dots only between others; got "
             "\"a b\""},
        Case{"{relu, name: .a}",
             ".name: expected at most 100 letters, digits, '_', '-', '.', with dots only between others; got "
             "\".a\""},
        Case{"{relu, name: a..b}",
             ".name: expected at most 100 letters, digits, '_', '-', '.', with dots only between others; got "
             "\"a..b\""},
        Case{"{relu, name: [a]}", ".name: expected text, got a list"},
        Case{"{relu, name: }", ".name: expected text, got nothing"},
        Case{"{relu, name: a, name: b}", ".name: given twice"},
        Case{"{relu, name: 'a{i}'}",
             ".name: {i} stands for the round of a repeat, but this layer is in none"},
        Case{"{relu, name: optimizer.a}",
             ".name: checkpoints keep other tensors under \"optimizer\"; choose another name"},
        Case{"{repeat: {times: 1, layers: [relu]}, name: a}",
             ".name: a repeat has no name of its own; name the layers in it, with {i} for the round"},
        Case{"{relu, nam: a}", ".nam: unknown key (did you mean \"name\"?)"}));

}  // namespace
}  // namespace convoy::testing
