// Shipped configurations with a key or two changed still learn, from a small part of their data.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/source_dir.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char *name, *file;
  std::vector<std::string> overrides;
};

class ShippedConfigs : public ::testing::TestWithParam<Case> {};

/// So many images of the epoch are enough to tell a network that learns from one whose units have died.
constexpr std::size_t images = 12'800;

TEST_P(ShippedConfigs, LearnInAnEpochAsTheyAre) {
  std::vector<std::string> overrides = GetParam().overrides;
  const fs::path data = CONVOY_SOURCE_DIR "/../shared/data/mnist";
  Config config = load_config(fmt::format(CONVOY_SOURCE_DIR "/configs/{}", GetParam().file), overrides);
  if (has_files(config.data.source)) {
    if (!fs::exists(data)) GTEST_SKIP() << "needs MNIST in ../shared/data/mnist";
    config.data.path = data.string();
  }
  config.device = Device::cpu;
  config.train.tensorboard = false;
  Dataset dataset = load_dataset(config.data, config.seed);
  dataset.train.resize(images);
  dataset.validation.resize(500);
  const RankEnvironment alone = RankEnvironment::alone();
  Session session(config, std::move(dataset), make_engine(EngineKind::cpu, alone), alone);
  const RunFiles folder;
  Console console(alone, config.train.log_every);
  const TrainOptions options{folder.run(), "", std::chrono::steady_clock::now(), {}};
  const std::optional<SummaryRecord> summary = Trainer(config, options, session, alone, console).run();
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->signs, std::vector<std::string>{});
  EXPECT_GT(summary->last.val_accuracy, 0.5);
}

INSTANTIATE_TEST_SUITE_P(
    All, ShippedConfigs,
    ::testing::Values(
        Case{"lenet_one_epoch", "mnist_lenet.yaml", {"train.epochs=1"}},
        Case{"lenet_no_warmup", "mnist_lenet.yaml", {"train.epochs=1", "schedule.warmup_epochs=0"}},
        Case{"lenet_constant", "mnist_lenet.yaml", {"train.epochs=1", "schedule=constant"}},
        Case{"lenet_small_batch", "mnist_lenet.yaml", {"train.epochs=1", "train.global_batch=32"}},
        Case{"lenet5_one_epoch", "mnist_lenet5.yaml", {"train.epochs=1"}},
        Case{"lenet5_no_warmup", "mnist_lenet5.yaml", {"train.epochs=1", "schedule.warmup_epochs=0"}},
        Case{"quickstart_one_epoch", "quickstart.yaml", {"train.epochs=1"}},
        Case{"quickstart_no_warmup", "quickstart.yaml", {"train.epochs=1", "schedule.warmup_epochs=0"}},
        Case{"quickstart_small_batch", "quickstart.yaml", {"train.epochs=1", "train.global_batch=32"}}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace convoy::testing
