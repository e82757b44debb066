// Every file in configs/ plans and takes two steps, with random data of its shape.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "src/data/source_info.h"
#include "src/train/schedule.h"
#include "tests/source_dir.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

std::vector<std::string> config_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(CONVOY_SOURCE_DIR "/configs")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Configs : public ::testing::TestWithParam<std::string> {};

// The peak is reached and left again however short the run is.
TEST_P(Configs, OneEpochCanBeAskedFor) {
  const Config config = load_config(CONVOY_SOURCE_DIR "/configs/" + GetParam(), {"train.epochs=1"});
  const auto rate = [&](std::int64_t step) {
    return learning_rate(config.schedule, config.optimizer.lr, step, 100, 1);
  };
  double peak = 0;
  for (int step = 0; step < 100; ++step) peak = std::max(peak, rate(step));
  EXPECT_NEAR(peak, config.optimizer.lr, 0.01 * config.optimizer.lr);
  EXPECT_LT(rate(99), 0.1 * peak);
}

TEST_P(Configs, PlanAndTakeTwoSteps) {
  const Config config = load_config(CONVOY_SOURCE_DIR "/configs/" + GetParam(), {"train.global_batch=2"});
  // Folders of pictures know neither size nor classes before they are read.
  const SourceInfo info = is_streamed(config.data.source)
                              ? SourceInfo{feature_shape(config.model.input), 10, 4, 2, 0}
                              : source_info(config.data);
  Dataset data;
  data.image = info.image;
  data.classes = info.classes;
  for (int i = 0; i < 6; ++i) {
    (i < 4 ? data.train : data.validation).push_back(i);
    data.labels.push_back(i % info.classes);
    for (std::int64_t p = 0; p < info.image.count(); ++p) {
      data.images.push_back(static_cast<std::uint8_t>(
          random4(1, Purpose::split, static_cast<std::uint32_t>(i), static_cast<std::uint64_t>(p)).v[0]));
    }
  }
  const RankEnvironment alone = RankEnvironment::alone();
  Session session(config, data, make_engine(EngineKind::cpu, alone), alone);
  session.initialize();
  const std::vector<double> before = weights_of(session);
  session.reset_training_metrics();
  train_epochs(session, config, 1, 1);
  const Metrics metrics = session.read_training_metrics();
  EXPECT_EQ(session.steps_per_epoch(), 2);
  EXPECT_EQ(metrics.count, 4);
  EXPECT_TRUE(std::isfinite(metrics.loss()));
  EXPECT_GT(largest_difference(before, weights_of(session)), 0);
}

INSTANTIATE_TEST_SUITE_P(Files, Configs, ::testing::ValuesIn(config_files()), [](const auto& param_info) {
  std::string name = param_info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace convoy::testing
