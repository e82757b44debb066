#include "src/model/graph.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace convoy::testing {
namespace {

Graph graph_of(const std::string& input, const std::string& layers) {
  const std::string text = "data: {source: digits}\nmodel:\n  input: " + input + "\n  layers:\n" + layers +
                           "train: {epochs: 1}\noptimizer: {name: sgd, lr: 0.1}\n";
  return build_graph(parse_config(text, "net.yaml", {}).model);
}

std::string refusal(const std::string& input, const std::string& layers) {
  try {
    graph_of(input, layers);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

TEST(Graph, InfersShapes) {
  const Graph g = graph_of("[3, 33, 20]",
                           "    - conv: {out: 8, kernel: [5, 3], stride: 2, pad: [2, 1], dilation: 1}\n"
                           "    - maxpool: {kernel: 3, stride: 2, pad: 1}\n"
                           "    - globalavgpool\n"
                           "    - linear: 7\n");
  EXPECT_EQ(g.nodes[1].out, (FeatureShape{1, 17, 10, 8}));
  EXPECT_EQ(g.nodes[2].out, (FeatureShape{1, 9, 5, 8}));
  EXPECT_EQ(g.nodes[3].out, (FeatureShape{1, 1, 1, 8}));
  EXPECT_EQ(g.classes(), 7);
  EXPECT_EQ(g.parameter_count(), 8 * 5 * 3 * 3 + 8 + 8 * 7 + 7);
}

TEST(Graph, CarriesTheDepthOfVolumes) {
  const Graph g = graph_of(
      "[1, 8, 16, 16]",
      "    - conv: {out: 2, kernel: 3, pad: same}\n    - maxpool: 2\n    - flatten\n    - linear: 2\n");
  EXPECT_EQ(g.nodes[2].out, (FeatureShape{4, 8, 8, 2}));
  EXPECT_EQ(g.parameters[0].file_shape, (std::vector<std::int64_t>{2, 1, 3, 3, 3}));
}

TEST(Graph, NamesParametersByTheirPath) {
  const Graph g = graph_of("[1, 4, 4]",
                           "    - residual: {body: [{conv: {out: 1, kernel: 3, pad: same}}, batchnorm]}\n"
                           "    - flatten\n    - linear: 2\n");
  EXPECT_EQ(g.parameters[0].name, "0.body.0.weight");
  EXPECT_EQ(g.parameters[2].name, "0.body.1.weight");
  EXPECT_FALSE(g.parameters[2].is_weight) << "no weight decay on normalisation";
  EXPECT_EQ(g.statistics[1].name, "0.body.1.running_var");
}

// As torchvision's modules call them: fc1 and fc2 of a squeeze-and-excitation, a layer scale by its own name.
TEST(Graph, NamesParametersOfLayersThatAreMadeOfOthers) {
  const Graph g =
      graph_of("[4, 6, 6]",
               "    - squeeze_excite: 2\n"
               "    - concat: {split: true, branches: [[], [{conv: {out: 2, kernel: 1}}, layernorm]]}\n"
               "    - scale: [{conv: {out: 4, kernel: 1}}]\n"
               "    - layer_scale: 0.25\n"
               "    - globalavgpool\n    - linear: 2\n");
  std::vector<std::string> names;
  for (const Parameter& parameter : g.parameters) names.push_back(parameter.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "0.fc1.weight", "0.fc1.bias", "0.fc2.weight", "0.fc2.bias", "1.branches.1.0.weight",
                       "1.branches.1.0.bias", "1.branches.1.1.weight", "1.branches.1.1.bias",
                       "2.branch.0.weight", "2.branch.0.bias", "3", "5.weight", "5.bias"}));
  EXPECT_EQ(g.parameters[0].file_shape, (std::vector<std::int64_t>{2, 4, 1, 1}));
  EXPECT_EQ(g.parameters[10].file_shape, (std::vector<std::int64_t>{4, 1, 1}));
  EXPECT_EQ(initial_value(g.parameters[10], 1), (std::vector<float>{0.25f, 0.25f, 0.25f, 0.25f}));
  EXPECT_EQ(g.nodes[static_cast<std::size_t>(g.nodes.size() - 3)].out, (FeatureShape{1, 6, 6, 4}));
}

TEST(Graph, RefusesWhatDoesNotFitWithFileAndLine) {
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find("net.yaml:"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refusal("[1, 8, 8]", "    - conv: {out: 4, kernel: 9}\n    - flatten\n    - linear: 2\n"),
         "does not fit");
  expect(refusal("[1, 8, 8]", "    - relu\n    - linear: 2\n"), "flatten");
  expect(refusal("[1, 8, 8]", "    - conv: {out: 4, kernel: 3}\n"), "end with linear");
  expect(refusal("[1, 8, 8]", "    - conv: {out: 4, kernel: 2, pad: same}\n    - flatten\n    - linear: 2\n"),
         "odd");
  expect(refusal("[1, 8, 8]", "    - conv: {out: 4, kernel: [3, 3, 3]}\n    - flatten\n    - linear: 2\n"),
         "axes");
  expect(refusal("[1, 8, 8]",
                 "    - residual: {body: [{conv: {out: 4, kernel: 3}}]}\n    - flatten\n    - linear: 2\n"),
         "shortcut");
  expect(refusal("[1, 8, 8]", "    - flatten\n"), "no layer has weights to train");
  const std::string classifier = "    - globalavgpool\n    - linear: 2\n";
  expect(refusal("[64, 65536, 65536]", classifier), "model.input: an image (65536,65536,64) has more than");
  expect(refusal("[1, 4096, 4096]", "    - conv: {out: 1024, kernel: 1}\n" + classifier),
         "net.yaml:5: layer 0: its output");
  expect(refusal("[1, 8, 8]", "    - conv: {out: 1048576, kernel: 1024, pad: 1024}\n" + classifier),
         "0.weight: 1099511627776 elements");
  const auto with = [&](const std::string& layer) {
    return refusal("[6, 8, 8]", "    - " + layer + "\n" + classifier);
  };
  expect(with("concat: [[], [maxpool: 2]]"), "concat: branch 0 gives (8,8,6), branch 1 (4,4,6)");
  expect(with("concat: {split: true, branches: [[], [], [], []]}"),
         "6 channels cannot be split evenly among 4");
  expect(with("scale: [conv: {out: 3, kernel: 1}]"), "scale: the branch gives (8,8,3); expected (8,8,6)");
  expect(with("scale: [maxpool: 2]"), "or one pixel of 6 channels");
  expect(with("channel_shuffle: 4"), "6 channels cannot be divided into 4 equal groups");
  expect(with("groupnorm: 5"), "6 channels cannot be divided into 5 equal groups");
  expect(refusal("[6, 1, 1]", "    - groupnorm: 6\n" + classifier), "leaves nothing to normalise");
  expect(refusal("[1, 8, 8]", "    - layernorm\n" + classifier), "one channel leaves nothing to normalise");
  expect(refusal("[6, 8, 8]", "    - conv: {out: 8, kernel: 3, groups: 4}\n" + classifier),
         "groups: 4 does not divide the 6 channels of its input");
  expect(refusal("[6, 8, 8]", "    - conv: {out: 8, kernel: 3, groups: 3}\n" + classifier),
         "groups: 3 does not divide out: 8");
  expect(refusal("[6, 8, 8]", "    - adaptive_avgpool: [2, 2, 2]\n" + classifier), "axes");
}

TEST(Graph, GroupsDivideTheWeights) {
  const Graph g = graph_of(
      "[6, 8, 8]", "    - conv: {out: 12, kernel: 3, groups: 3}\n    - globalavgpool\n    - linear: 2\n");
  const Parameter& weight = g.parameters[0];
  EXPECT_EQ(weight.file_shape, (std::vector<std::int64_t>{12, 2, 3, 3}));
  EXPECT_EQ(weight.fan_in, 18);
  EXPECT_EQ(weight.fan_out, 36);
  EXPECT_EQ(g.parameters[1].fan_in, 18) << "the bias starts by the same rule";
}

TEST(Graph, PoolingInfersShapes) {
  const auto out = [](const std::string& layer) {
    const Graph g = graph_of("[3, 14, 9]", "    - " + layer + "\n    - flatten\n    - linear: 2\n");
    return g.nodes[1].out;
  };
  EXPECT_EQ(out("maxpool: {kernel: 3, stride: 2}"), (FeatureShape{1, 6, 4, 3}));
  EXPECT_EQ(out("maxpool: {kernel: 3, stride: 2, ceil: true}"), (FeatureShape{1, 7, 4, 3}));
  EXPECT_EQ(out("adaptive_avgpool: 7"), (FeatureShape{1, 7, 7, 3}));
  EXPECT_EQ(out("adaptive_avgpool: [2, 3]"), (FeatureShape{1, 2, 3, 3}));
}

TEST(Graph, FileOrderIsAPermutationAndItsInverse) {
  const Graph g =
      graph_of("[2, 3, 4]", "    - conv: {out: 3, kernel: 3, pad: same}\n    - flatten\n    - linear: 5\n");
  for (const Parameter& p : g.parameters) {
    std::vector<float> values(static_cast<std::size_t>(p.count()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    EXPECT_EQ(from_file_order(p, to_file_order(p, values)), values);
  }
  // conv (K,T,R,S,C) -> [K,C,R,S]: element (k=0, c=1, r=0, s=0) lies at memory index 1 and file index 9.
  std::vector<float> conv(54, 0);
  conv[1] = 1;
  EXPECT_EQ(to_file_order(g.parameters[0], conv)[9], 1);
  // linear behind a flatten of (3,4,3): column (h=0,w=1,c=2) is 5 here and c*12 + 1 in the file.
  std::vector<float> linear(180, 0);
  linear[5] = 1;
  EXPECT_EQ(to_file_order(g.parameters[2], linear)[25], 1);
  // What treats all features alike may stand between.
  const Graph between = graph_of("[2, 3, 4]",
                                 "    - conv: {out: 3, kernel: 3, pad: same}\n    - flatten\n    - relu\n"
                                 "    - dropout: 0.5\n    - linear: 5\n");
  EXPECT_EQ(to_file_order(between.parameters[2], linear)[25], 1);
}

// Axes that are longer than the tiles they are walked in, and no multiples of them.
TEST(Graph, FileOrderMovesEveryValue) {
  const Graph g = graph_of("[37, 5, 7]",
                           "    - conv: {out: 18, kernel: 3, pad: same, bias: false}\n    - flatten\n"
                           "    - linear: {out: 3, bias: false}\n");
  const auto numbered = [](const Parameter& p) {
    std::vector<float> values(static_cast<std::size_t>(p.count()));
    std::iota(values.begin(), values.end(), 0.0f);
    return values;
  };
  const auto expect_order = [&](const Parameter& p, std::int64_t k, std::int64_t pixels, std::int64_t c) {
    const std::vector<float> memory = numbered(p), file = to_file_order(p, memory);
    for (std::int64_t i = 0, at = 0; i < k; ++i) {
      for (std::int64_t channel = 0; channel < c; ++channel) {
        for (std::int64_t pixel = 0; pixel < pixels; ++pixel, ++at) {
          ASSERT_EQ(file[static_cast<std::size_t>(at)],
                    memory[static_cast<std::size_t>((i * pixels + pixel) * c + channel)])
              << p.name << " [" << i << "," << channel << "," << pixel << "]";
        }
      }
    }
    EXPECT_EQ(from_file_order(p, file), memory);
    std::vector<float> in_place(memory.size());
    from_file_order(p, file, in_place);
    EXPECT_EQ(in_place, memory);
  };
  expect_order(g.parameters[0], 18, 9, 37);
  expect_order(g.parameters[1], 3, 35, 18);
}

TEST(Initializers, HaveTheirVariance) {
  const Graph g =
      graph_of("[16, 8, 8]",
               "    - conv: {out: 64, kernel: 3, init: he}\n    - conv: {out: 64, kernel: 3, init: glorot}\n"
               "    - globalavgpool\n    - linear: 2\n");
  const auto variance = [](const std::vector<float>& v) {
    double sum = 0, squares = 0;
    for (const float x : v) sum += x, squares += double{x} * x;
    const double n = static_cast<double>(v.size());
    return squares / n - sum / n * (sum / n);
  };
  EXPECT_NEAR(variance(initial_value(g.parameters[0], 1)), 2.0 / 144, 0.05 * 2.0 / 144);
  EXPECT_NEAR(variance(initial_value(g.parameters[2], 1)), 2.0 / (576 + 576), 0.05 * 2.0 / 1152);
  EXPECT_NE(initial_value(g.parameters[0], 1), initial_value(g.parameters[0], 2)) << "keyed by the seed";
}

TEST(Initializers, DiracPassesChannelsThrough) {
  const Graph g = graph_of(
      "[2, 4, 4]", "    - conv: {out: 3, kernel: 3, init: dirac}\n    - globalavgpool\n    - linear: 2\n");
  const std::vector<float> w =
      to_file_order(g.parameters[0], initial_value(g.parameters[0], 1));  // [3,2,3,3]
  for (int k = 0; k < 3; ++k) {
    for (int c = 0; c < 2; ++c) {
      for (int tap = 0; tap < 9; ++tap) {
        EXPECT_EQ(w[static_cast<std::size_t>((k * 2 + c) * 9 + tap)], k == c && tap == 4 ? 1.0f : 0.0f);
      }
    }
  }
}

TEST(Initializers, DiracPassesEachGroupsChannelsThrough) {
  const Graph g = graph_of("[4, 4, 4]",
                           "    - conv: {out: 6, kernel: 1, groups: 2, init: dirac}\n    - globalavgpool\n"
                           "    - linear: 2\n");
  // (K,C/G): filters 0 to 2 are of the first group, 3 to 5 of the second.
  EXPECT_EQ(initial_value(g.parameters[0], 1), (std::vector<float>{1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0}));
}

}  // namespace
}  // namespace convoy::testing
