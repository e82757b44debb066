// Weights under timm's names: the list of names was written where timm is installed
// (tests/cli/pytorch_test.py compares the answers there, and the list).
#include "src/checkpoint/timm_file.h"

#include <gtest/gtest.h>

#include <sstream>

#include "src/checkpoint/weights_file.h"
#include "src/config/named_model.h"
#include "src/io/gzip_file.h"
#include "src/model/graph_builder.h"
#include "tests/source_dir.h"

namespace convoy {
namespace {

struct Pair {
  std::string ours, timms;
  std::vector<std::int64_t> shape;  ///< timm's
};

/// Of each network, its tensors.
std::map<std::string, std::vector<Pair>> stored_names() {
  GzipFile file(CONVOY_SOURCE_DIR "/tests/golden/timm_names.txt.gz");
  std::vector<std::uint8_t> bytes(1 << 20);
  bytes.resize(file.read(bytes));
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  std::map<std::string, std::vector<Pair>> networks;
  for (std::string network, shape; lines >> network;) {
    Pair pair;
    lines >> pair.ours >> pair.timms >> shape;
    std::istringstream sizes(shape);
    for (std::string size; std::getline(sizes, size, ',');) pair.shape.push_back(std::stoll(size));
    networks[network].push_back(std::move(pair));
  }
  return networks;
}

/// The n-th tensor is known by its n bytes.
TensorFile file_of(const std::vector<Pair>& pairs, const std::string& prefix) {
  TensorFile file;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    file.tensors[prefix + pairs[i].timms] = {DType::f32, pairs[i].shape, std::vector<std::byte>(i)};
  file.left_out[prefix + "bn1.num_batches_tracked"] = "I64";
  return file;
}

Graph graph_of(const std::string& network, const std::string& more) {
  return build_graph(
      parse_config(fmt::format("model: {{name: {}, classes: 10{}}}\n", network, more), network, {}).model);
}

std::vector<NamedTensor> tensors_of(const Graph& graph) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& p : graph.parameters) tensors.push_back({p.name, {}, &p, p.file_shape});
  for (const Statistic& s : graph.statistics) tensors.push_back({s.name, {}, nullptr, {s.count}});
  return tensors;
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TimmFile, EveryNetworkWithNamesOfItsOwnIsInTheStoredList) {
  std::vector<std::string> with_names, stored;
  for (const NamedModel& model : named_models())
    if (timm_names_of(model)) with_names.push_back(model.name);
  for (const auto& [network, pairs] : stored_names()) stored.push_back(network);
  EXPECT_EQ(with_names, stored);
}

TEST(TimmFile, TimmsNamesLeadToOurs) {
  for (const auto& [network, pairs] : stored_names()) {
    const std::string more = network == "mobilenet_v3_large" ? ", epsilon: 0.00001" : "";
    const Graph graph = graph_of(network, more);
    const std::vector<NamedTensor> wanted = tensors_of(graph);
    ASSERT_EQ(wanted.size(), pairs.size()) << network;
    for (const std::string prefix : {"", "module."}) {
      const TensorFile file = file_of(pairs, prefix);
      const auto ours = from_timm(file, prefix, wanted, graph, "weights");
      ASSERT_TRUE(ours) << network;
      EXPECT_EQ(ours->network, timm_names_of(named_model(network))->network);
      for (std::size_t i = 0; i < pairs.size(); ++i)
        EXPECT_EQ(ours->file.tensors.at(pairs[i].ours).bytes.size(), i) << pairs[i].timms;
      // In our shapes, but for the head of 1000 classes.
      const RestoredWeights restored = match_weights(graph, file, "weights");
      EXPECT_EQ(restored.anew.size(), 1u) << network;
      EXPECT_NE(restored.head.find("1000 outputs in the file, 10 here"), std::string::npos) << restored.head;
      EXPECT_EQ(restored.ignored.size(), 1u) << network;
      EXPECT_NE(restored.text().find("named as those of timm's " + restored.timm), std::string::npos);
    }
  }
}

TEST(TimmFile, WhatIsNotTimmsIsLeftAlone) {
  const std::vector<Pair> pairs = stored_names().at("mobilenet_v2");
  const Graph graph = graph_of("mobilenet_v2", "");
  const std::vector<NamedTensor> wanted = tensors_of(graph);
  TensorFile ours, fewer = file_of(pairs, "");
  for (const NamedTensor& named : wanted) ours.tensors[named.name] = {DType::f32, named.file_shape, {}};
  EXPECT_FALSE(from_timm(ours, "", wanted, graph, "weights"));
  fewer.tensors.erase(pairs[3].timms);
  EXPECT_FALSE(from_timm(fewer, "", wanted, graph, "weights"));
  // Another network of timm's.
  const Graph other = graph_of("mnasnet1_0", "");
  EXPECT_FALSE(from_timm(file_of(pairs, ""), "", tensors_of(other), other, "weights"));
}

TEST(TimmFile, AnotherEpsilonIsRefused) {
  const std::vector<Pair> pairs = stored_names().at("mobilenet_v3_large");
  const Graph graph = graph_of("mobilenet_v3_large", "");
  EXPECT_NE(message_of([&] { match_weights(graph, file_of(pairs, ""), "weights"); })
                .find("weights: holds weights of timm's mobilenetv3_large_100, whose batch normalisation has "
                      "an epsilon of 1e-05, here 0.001; set model.epsilon: 1e-05"),
            std::string::npos);
}

}  // namespace
}  // namespace convoy
