// A run that stops and goes on, and two equal runs, end with the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "comm/agree.h"
#include "core/regular_file.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

struct RunsOn {
  const char* name;
  EngineKind kind;
  const char* precision;
};

class Runs : public ::testing::TestWithParam<RunsOn> {
 protected:
  void SetUp() override {
    if (GetParam().kind == EngineKind::cuda && cuda_device_count() == 0) {
      GTEST_SKIP() << "needs a CUDA device";
    }
  }
  static Config tiny_config(std::vector<std::string> overrides = {}) {
    overrides.emplace_back("device=auto");
    overrides.push_back(fmt::format("train.precision={}", GetParam().precision));
    return testing::tiny_config(overrides);
  }
  static RunResult start(const Config& config, const fs::path& folder, const std::string& resume,
                         std::function<bool()> stop_requested = {}) {
    return train_run(config, folder, resume, GetParam().kind, RankEnvironment::alone(),
                     std::move(stop_requested));
  }
  /// Trains into `folder` and returns the final weights.
  static std::vector<double> train(const Config& config, const fs::path& folder, const std::string& resume) {
    return start(config, folder, resume).weights;
  }
  /// Kills a run of two epochs of five steps after each of them; every other one stages its images when it
  /// goes on.
  static void go_on_from_every_step(const std::vector<std::string>& overrides) {
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.end(), overrides.begin(), overrides.end());
      return tiny_config(more);
    };
    const Config config = with({"checkpoint.every_steps=1", "train.epochs=2"});
    const RunFiles whole;
    const std::vector<double> expected = train(config, whole.run(), "");
    const std::vector<nlohmann::json> metrics = metrics_of(whole.run());
    const std::vector<fs::path> all = list_checkpoints(whole.checkpoints());
    ASSERT_EQ(all.size(), 10u);
    EXPECT_EQ(all[0].filename(), "epoch-0002.safetensors");
    EXPECT_EQ(all[1].filename(), "epoch-0002-step-00000009.safetensors");
    EXPECT_EQ(all[5].filename(), "epoch-0001.safetensors");
    for (std::size_t i = 1; i < all.size(); ++i) {
      const RunFiles cut;
      fs::copy(whole.run(), cut.run(), fs::copy_options::recursive);
      kill_after(cut.checkpoints(), all[i]);
      const Config here = with({"checkpoint.every_steps=4", "train.epochs=2",
                                i % 2 == 0 ? "data.resident=true" : "data.resident=false"});
      EXPECT_EQ(train(here, cut.run(), "auto"), expected) << all[i];
      EXPECT_EQ(metrics_of(cut.run()), metrics) << all[i];
    }
  }
};

TEST_P(Runs, EqualRunsHaveEqualBits) {
  const RunFiles a, b;
  EXPECT_EQ(train(tiny_config(), a.run(), ""), train(tiny_config(), b.run(), ""));
}

TEST_P(Runs, AnotherSeedDiffers) {
  const RunFiles a, b;
  EXPECT_NE(train(tiny_config(), a.run(), ""), train(tiny_config({"seed=4"}), b.run(), ""));
}

TEST_P(Runs, InterruptedEqualsUninterrupted) {
  for (const char* optimizer :
       {"{name: sgd, lr: 0.1, momentum: 0.9}", "{name: adamw, lr: 0.01, weight_decay: 0.1}"}) {
    const std::vector<std::string> overrides{"train.epochs=4", fmt::format("optimizer={}", optimizer)};
    const Config config = tiny_config(overrides);
    const RunFiles folder;
    const std::vector<double> expected = train(config, folder.run(), "");
    const std::vector<nlohmann::json> metrics = metrics_of(folder.run());
    ASSERT_EQ(metrics.size(), 5u) << "four epochs and a summary";
    kill_after(folder.checkpoints(), after_epoch(folder.checkpoints(), 2));
    EXPECT_EQ(train(config, folder.run(), "auto"), expected);
    EXPECT_EQ(metrics_of(folder.run()), metrics);
  }
}

TEST_P(Runs, AnyStepOfAnEpochIsAPlaceToGoOnFrom) {
  go_on_from_every_step({});
}
TEST_P(Runs, AnyStepOfABalancedEpochIsAPlaceToGoOnFrom) {
  go_on_from_every_step({"data.balance=true", "train.class_weights=[1, 2, 3]"});
}

TEST_P(Runs, AnotherBatchGoesOnWhereOneOfItsOwnBegins) {
  for (const auto& [batch, steps] : {std::pair{4, 10}, std::pair{16, 3}, std::pair{5, 8}}) {
    const RunFiles folder;
    train(tiny_config({"checkpoint.every_steps=2", "train.epochs=1"}), folder.run(), "");
    fs::remove(list_checkpoints(folder.checkpoints())[0]);
    fs::remove(list_checkpoints(folder.checkpoints())[0]);
    ASSERT_EQ(list_checkpoints(folder.checkpoints()).at(0).filename(),
              "epoch-0001-step-00000002.safetensors");
    train(tiny_config({fmt::format("train.global_batch={}", batch), "train.epochs=1"}), folder.run(), "auto");
    const std::vector<nlohmann::json> metrics = metrics_of(folder.run());
    ASSERT_EQ(metrics.size(), 2u);
    // 16 images were through. 5 does not divide that: its epoch begins anew.
    EXPECT_EQ(metrics[0]["step"], 2 + steps - (batch == 5 ? 0 : 16 / batch)) << batch;
  }
}

TEST_P(Runs, OtherDataBeginsTheEpochAnew) {
  const RunFiles folder;
  train(tiny_config({"checkpoint.every_steps=2", "train.epochs=1"}), folder.run(), "");
  kill_after(folder.checkpoints(), "epoch-0001-step-00000002.safetensors");
  train(tiny_config({"seed=4", "train.epochs=1"}), folder.run(), "auto");
  EXPECT_EQ(metrics_of(folder.run()).at(0)["step"], 2 + 5);
}

TEST_P(Runs, TheBestIsKeptWhateverIsRemoved) {
  const Config config =
      tiny_config({"train={epochs: 6, global_batch: 8, early_stop: {metric: val_accuracy, patience: 6}}",
                   "checkpoint={keep: 1, best: true}"});
  const RunFiles folder;
  train(config, folder.run(), "");
  EXPECT_EQ(list_checkpoints(folder.checkpoints()).size(), 1u);
  const fs::path best = best_checkpoint_path(folder.checkpoints());
  const std::vector<nlohmann::json> metrics = metrics_of(folder.run());
  int expected = 0;
  for (int epoch = 1; epoch < 6; ++epoch) {
    if (metrics[static_cast<std::size_t>(epoch)]["val_accuracy"] >
        metrics[static_cast<std::size_t>(expected)]["val_accuracy"])
      expected = epoch;
  }
  ASSERT_LT(expected, 5) << "the test wants a best epoch that is not the last";
  EXPECT_EQ(progress_in(from_safetensors(read_file(best), "best"), "best").epochs_done, expected + 1);
}

TEST_P(Runs, AStopRequestLeavesACheckpointToGoOnFrom) {
  const Config config = tiny_config({"train.epochs=2"});
  const RunFiles whole;
  const std::vector<double> expected = train(config, whole.run(), "");
  const std::vector<nlohmann::json> metrics = metrics_of(whole.run());
  for (const int ask_at : {0, 1, 3, 4, 5, 6, 8, 10}) {
    const RunFiles folder;
    int asked = 0;
    const RunResult stopped = start(config, folder.run(), "", [&] { return asked++ >= ask_at; });
    EXPECT_FALSE(stopped.finished) << ask_at;
    ASSERT_FALSE(list_checkpoints(folder.checkpoints()).empty()) << ask_at;
    EXPECT_LT(metrics_of(folder.run()).size(), 2u) << "the second epoch is not done";
    const RunResult resumed = start(config, folder.run(), "auto");
    EXPECT_TRUE(resumed.finished);
    EXPECT_EQ(resumed.weights, expected) << ask_at;
    EXPECT_EQ(metrics_of(folder.run()), metrics) << ask_at;
  }
}

TEST_P(Runs, FallsBackFromADamagedCheckpoint) {
  const Config config = tiny_config({"train.epochs=3"});
  const RunFiles folder;
  const fs::path run = folder.run();
  const std::vector<double> expected = train(config, run, "");
  const fs::path newest = after_epoch(run / "checkpoints", 3);
  fs::resize_file(newest, fs::file_size(newest) / 2);
  EXPECT_EQ(train(config, run, "auto"), expected);
}

TEST_P(Runs, GoesOnFromAnOlderCheckpointOnRequest) {
  const Config config = tiny_config({"train.epochs=4"});
  const RunFiles folder;
  const fs::path run = folder.run(), checkpoints = folder.checkpoints();
  const std::vector<double> expected = train(config, run, "");
  EXPECT_EQ(train(config, run, after_epoch(checkpoints, 2).string()), expected);
  EXPECT_EQ(metrics_of(run).size(), 5u) << "four epochs and a summary, none twice";
  EXPECT_TRUE(fs::exists(after_epoch(checkpoints, 4).string() + ".old")) << "those ahead of it are set aside";
}

TEST_P(Runs, ACheckpointFromElsewhereBeginsARunOfItsOwn) {
  const Config config = tiny_config({"train.epochs=4"});
  const RunFiles folder;
  const fs::path run = folder.run(), other = folder.beside("other");
  const std::vector<double> expected = train(config, run, "");
  train(tiny_config({"train.epochs=3"}), other, "");
  EXPECT_EQ(train(config, run, after_epoch(other / "checkpoints", 1).string()), expected);
  EXPECT_EQ(metrics_of(run).size(), 4u) << "epochs 2 to 4 and a summary";
  EXPECT_TRUE(fs::exists(folder.beside("run.1/metrics.jsonl"))) << "the earlier run is kept";
}

TEST_P(Runs, AnEarlyStopIsFinal) {
  // Not learning at all: the first epoch stays the best, the second ends the run, and its weights are kept.
  const Config config = tiny_config({"train={epochs: 9, global_batch: 8, early_stop: {patience: 1}}",
                                     "model.layers=[flatten, {linear: 3}]",
                                     "optimizer={name: sgd, lr: 1e-30}", "checkpoint.every_epochs=5"});
  const RunFiles folder;
  const fs::path run = folder.run();
  train(config, run, "");
  const std::vector<fs::path> left = list_checkpoints(run / "checkpoints");
  ASSERT_EQ(left.size(), 1u);
  const std::size_t lines = metrics_of(run).size();
  train(config, run, "auto");
  EXPECT_EQ(list_checkpoints(run / "checkpoints"), left) << "resuming trains no further";
  EXPECT_EQ(metrics_of(run).size(), lines) << "and keeps the summary";
}

TEST_P(Runs, ALossThatIsNoNumberEndsTheRunWithItsStep) {
  const Config config =
      tiny_config({"train.epochs=2", "optimizer={name: sgd, lr: 1e30}", "checkpoint.every_steps=1"});
  const RunFiles folder;
  std::string message;
  try {
    train(config, folder.run(), "");
  } catch (const AgreedError& error) {
    message = error.what();
  }
  EXPECT_TRUE(message.starts_with("the loss of step ")) << message;
  EXPECT_NE(message.find(" in epoch 1 is not finite"), std::string::npos) << message;
  for (const fs::path& path : list_checkpoints(folder.checkpoints())) {
    for (const auto& [name, tensor] : from_safetensors(read_file(path), path.string()).tensors) {
      if (name.starts_with("optimizer.") || tensor.dtype != DType::f32) continue;
      const auto* values = reinterpret_cast<const float*>(tensor.bytes.data());
      EXPECT_TRUE(
          std::all_of(values, values + tensor.bytes.size() / 4, [](float v) { return std::isfinite(v); }))
          << path << " " << name;
    }
  }
}

TEST_P(Runs, WeightsSpoiltByTheLastStepAreNotKept) {
  const Config config = tiny_config({"train={epochs: 1, global_batch: 64}", "optimizer={name: sgd, lr: 3e38}",
                                     "model.layers=[flatten, {linear: 8}, {linear: 3}]"});
  const RunFiles folder;
  EXPECT_THROW(train(config, folder.run(), ""), AgreedError);
  EXPECT_TRUE(list_checkpoints(folder.checkpoints()).empty());
}

// Training sees black images alone; of five to validate with, the white ones grow beyond all numbers.
class Overflows : public Runs {
 protected:
  Config config_ =
      tiny_config({"train={epochs: 2, global_batch: 16, early_stop: {patience: 5}}",
                   "data.normalize={mean: [0, 0], std: [1e-36, 1e-36]}", "data.augment=[]",
                   "model.layers=[repeat: {times: 20, layers: [residual: [relu]]}, flatten, linear: 3]"});

  bool train_with(int white) {
    Dataset data = tiny_data(37, 5);
    const auto bytes = static_cast<std::ptrdiff_t>(data.image.count());
    std::fill(data.images.begin(), data.images.end(), std::uint8_t{0});
    std::fill_n(data.images.begin() + 37 * bytes, white * bytes, std::uint8_t{255});
    const RankEnvironment alone = RankEnvironment::alone();
    Session session(config_, std::move(data), make_engine(GetParam().kind, alone), alone);
    const TrainOptions options{folder_.run(), "auto", std::chrono::steady_clock::now(), {}};
    Console console(alone, config_.train.log_every);
    return Trainer(config_, options, session, alone, console).run().has_value();
  }

  RunFiles folder_;
};

TEST_P(Overflows, OfFewImagesDoNotEndTheRun) {
  EXPECT_TRUE(train_with(1));
  const std::vector<nlohmann::json> records = metrics_of(folder_.run());
  ASSERT_EQ(records.size(), 3u) << "two epochs and the summary";
  EXPECT_TRUE(records[1].at("train_loss").is_number()) << records[1];
  EXPECT_TRUE(records[1].at("val_loss").is_null()) << records[1];
  EXPECT_EQ(list_checkpoints(folder_.checkpoints()).size(), 2u);

  config_.train.epochs = 3;  // resumes
  EXPECT_TRUE(train_with(1));
  EXPECT_EQ(metrics_of(folder_.run()).size(), 4u);
}

TEST_P(Overflows, AnyLossIsBetterThanNone) {
  config_.checkpoint.best = true;
  config_.train.epochs = 1;
  train_with(1);
  const std::string first = read_file(best_checkpoint_path(folder_.checkpoints()));
  config_.train.epochs = 2;
  train_with(0);
  EXPECT_NE(read_file(best_checkpoint_path(folder_.checkpoints())), first);
}

TEST_P(Overflows, OfMostImagesEndTheRun) {
  try {
    train_with(3);
    ADD_FAILURE() << "most images have no scores";
  } catch (const AgreedError& error) {
    EXPECT_STREQ(error.what(),
                 "the scores of 3 of 5 validation images are not finite after epoch 1: lower optimizer.lr or "
                 "check the data; the last epoch with finite losses is 0");
  }
  EXPECT_TRUE(list_checkpoints(folder_.checkpoints()).empty());
}

constexpr auto name_of_runs = [](const auto& instance) { return std::string(instance.param.name); };
const auto engines = ::testing::Values(
    RunsOn{"reference", EngineKind::reference_f32, "fp32"}, RunsOn{"cpu", EngineKind::cpu, "fp32"},
    RunsOn{"cuda", EngineKind::cuda, "fp32"}, RunsOn{"cuda_fp16", EngineKind::cuda, "fp16"});
INSTANTIATE_TEST_SUITE_P(Engines, Runs, engines, name_of_runs);
INSTANTIATE_TEST_SUITE_P(Engines, Overflows, engines, name_of_runs);

}  // namespace
}  // namespace convoy::testing
