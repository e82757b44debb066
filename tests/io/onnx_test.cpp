// What the exporter refuses. What it writes, tests/cli/onnx_test.py has onnxruntime compute.
#include "src/export/onnx.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace convoy::testing {
namespace {

Graph graph_of(const std::string& layers) {
  return build_graph(parse_config("model: {input: [1, 2, 2], layers: " + layers + "}", "net.yaml", {}).model);
}

std::string exported(const Graph& graph) {
  TensorFile weights;
  for (const Parameter& parameter : graph.parameters) {
    weights.tensors[parameter.name] = {
        DType::f32, parameter.file_shape,
        std::vector<std::byte>(static_cast<std::size_t>(parameter.count()) * sizeof(float))};
  }
  return to_onnx(graph, weights, {"net", {0}, {1}, {}, "1"});
}

std::string message_of(const Graph& graph) {
  try {
    exported(graph);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Onnx, WritesEveryActivation) {
  for_each_type(Activations{}, [&]<class A>() {
    EXPECT_EQ(message_of(graph_of(fmt::format("[flatten, linear: 3, {}, linear: 2]", A::name))),
              "nothing thrown")
        << A::name;
  });
}

TEST(Onnx, NamesAWeightThatIsMissing) {
  const Graph graph = graph_of("[flatten, linear: 2]");
  try {
    to_onnx(graph, {}, {"net", {0}, {1}, {}, "1"});
    ADD_FAILURE() << "exported";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no tensor 1.weight"), std::string::npos) << error.what();
  }
}

TEST(Onnx, TakesPicturesWhereTheNetworkDoes) {
  const auto takes = [](const std::string& input) {
    return takes_pictures(build_graph(
        parse_config("model: {input: [" + input + "], layers: [flatten, linear: 2]}", "net.yaml", {}).model));
  };
  EXPECT_TRUE(takes("1, 2, 2"));
  EXPECT_TRUE(takes("3, 4, 5"));
  EXPECT_FALSE(takes("2, 4, 5")) << "two channels are no colours";
  EXPECT_FALSE(takes("3, 4, 5, 6")) << "a volume is no picture";
}

TEST(Onnx, SaysWhatItsInputIs) {
  const Graph graph = graph_of("[flatten, linear: 2]");
  const std::string pictures = description_of_input(graph, PictureView{3}),
                    raw = description_of_input(graph, std::nullopt);
  EXPECT_NE(pictures.find("uint8 (N,H,W,C)"), std::string::npos) << pictures;
  EXPECT_NE(pictures.find("shorter side to 3, cuts out the middle 2 x 2, makes it gray"), std::string::npos)
      << pictures;
  EXPECT_NE(raw.find("float (N,C,H,W)"), std::string::npos) << raw;
}

}  // namespace
}  // namespace convoy::testing
