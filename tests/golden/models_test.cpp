// Networks by name against PyTorch (torchvision, and tests/golden/cifar_networks.py): names and shapes of
// parameters, logits, and the gradients of a training step. Weights are functions of their names, so that
// none are stored.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "src/config/named_model.h"
#include "src/session/session.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/named_values.h"
#include "tests/test_environment.h"

namespace convoy::testing {
namespace {

constexpr int classes = 10, side = 128, images = 2;

/// The images of make_models.py, to train and to validate on.
Dataset golden_images() {
  Dataset data;
  data.image = {1, side, side, 3};
  data.classes = classes;
  const NamedBits bits("images");
  for (std::uint64_t i = 0; i < images * side * side * 3; ++i)
    data.images.push_back(static_cast<std::uint8_t>(bits[i] >> 56));
  data.labels = {3, 7};
  data.train = data.validation = {0, 1};
  return data;
}

Config config_of(const std::string& name) {
  std::string quiet;  // nothing random, and nothing very wide
  for (const auto& [parameter, initial] : facts_of(named_model(name)).parameters)
    if (parameter.starts_with("drop")) quiet += ", " + parameter + ": 0";
  if (name == "wrn28_10") quiet += ", width: 2";
  return parse_config(fmt::format("model: {{name: {}, classes: {}, input: [3, {}, {}]{}}}\n"
                                  "data: {{source: digits}}\n"
                                  "train: {{epochs: 1, global_batch: {}}}\n"
                                  "optimizer: {{name: sgd, lr: 0.1}}\n",
                                  name, classes, side, side, quiet, images),
                      name, {});
}

double largest(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double most, double value) { return std::max(most, std::abs(value)); });
}

class GoldenModels : public ::testing::TestWithParam<std::string> {
 protected:
  const Values& golden(const std::string& tensor) const { return file().at(GetParam() + "/" + tensor); }
  static const GoldenFile& file() {
    static const GoldenFile file = read_golden("models.safetensors");
    return file;
  }

  /// As shares of the largest: `usual`, or four times what PyTorch itself is off in float.
  double float_tolerance(const char* noise, double usual) const {
    return std::max(usual, 4 * file().attributes(GetParam())[noise].get<double>());
  }
  void run_in_float(EngineKind kind) {
    run(kind, float_tolerance("float_noise_of_logits", 1e-4), float_tolerance("float_noise", 1e-3), 1);
  }

  void run(EngineKind kind, double logit_tolerance, double gradient_tolerance, double least) {
    const Config config = config_of(GetParam());
    Session session(config, golden_images(), make_engine(kind, ranks()), ranks());
    for (const NamedTensor& t : session.named_tensors(false)) {
      const Values value = named_value(t.name, t.file_shape);
      session.write_values(t.tensor, t.parameter != nullptr ? from_file_order(*t.parameter, value) : value);
    }
    Predictions predictions;
    session.evaluate(&predictions);
    ASSERT_EQ(predictions.logits.size(), golden("logits").size());
    for (std::size_t i = 0; i < predictions.logits.size(); ++i) {
      EXPECT_NEAR(predictions.logits[i], golden("logits")[i], logit_tolerance * largest(golden("logits")))
          << i;
    }
    session.begin_epoch(0);
    session.train_batch(0, StepState{});
    check_gradients(session, gradient_tolerance, least);
  }

  /// An error of a gradient is measured by its own norm, `least` of the network's largest at the least: some
  /// cancel to nothing. An error of that norm changes the product with random numbers in [-1, 1) by 1 /
  /// sqrt(3) of it, give or take.
  void check_gradients(Session& session, double tolerance, double least) {
    const auto names = file().attributes(GetParam())["parameters"].get<std::vector<std::string>>();
    const std::vector<Parameter>& parameters = session.graph().parameters;
    ASSERT_EQ(parameters.size(), names.size());
    const double floor = least * largest(golden("norms"));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto own = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const Parameter& p) { return p.name == names[i]; });
      ASSERT_NE(own, parameters.end()) << names[i];
      const Tensor& tensor =
          session.plans().layout.gradients[static_cast<std::size_t>(own - parameters.begin())];
      const Values gradient = to_file_order(*own, session.read_values(tensor));
      const Values direction = named_uniform("product " + names[i], own->count());
      const double norm =
          std::sqrt(std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0));
      const double product = std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
      const double allowed = tolerance * std::max(golden("norms")[i], floor);
      EXPECT_NEAR(norm, golden("norms")[i], allowed) << names[i];
      EXPECT_NEAR(product, golden("products")[i], 3 * allowed) << names[i];
    }
  }
};

// Double precision tells a network that is right from one that is nearly so: no sum falls to the other side
// of a kink, as some do in float.
TEST_P(GoldenModels, SlowReferenceInDouble) {
  const std::vector<std::string> quick = {"mobilenet_v2", "resnet18", "shufflenet_v2_x1_0", "squeezenet1_1"};
  if (std::getenv("CONVOY_DEEP") == nullptr &&
      std::find(quick.begin(), quick.end(), GetParam()) == quick.end())
    GTEST_SKIP() << "takes long: tools/test --deep runs it";
  run(EngineKind::reference_f64, 1e-9, 1e-7, 1e-6);
}
TEST_P(GoldenModels, cpu) {
  run_in_float(EngineKind::cpu);
}
TEST_P(GoldenModels, cuda) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  run_in_float(EngineKind::cuda);
}

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const auto& [name, unused] : read_golden("models.safetensors").cases) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Torchvision, GoldenModels, ::testing::ValuesIn(golden_models()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace convoy::testing
