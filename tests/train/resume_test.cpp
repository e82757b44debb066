// A run that stops and goes on, and two equal runs, end with the same bits.
#include <gtest/gtest.h>

#include <fstream>

#include "comm/agree.h"
#include "src/io/atomic_file.h"
#include "src/train/trainer.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

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
  /// Trains into `folder` and returns the final weights.
  static std::vector<double> train(const Config& config, const fs::path& folder, const std::string& resume) {
    const RankEnvironment alone = RankEnvironment::alone();
    Session session(config, tiny_data(37, 5), make_engine(GetParam().kind, alone), alone);
    const TrainOptions options{folder, resume, std::chrono::steady_clock::now()};
    Trainer(config, options, session, alone).run();
    return weights_of(session);
  }
  /// What the summary of a run's metrics says.
  static double best_accuracy_in(const fs::path& run) {
    const std::string text = read_file(run / "metrics.jsonl");
    const std::string key = "\"best_val_accuracy\":";
    return std::stod(text.substr(text.find(key) + key.size()));
  }
  static std::size_t lines_in(const fs::path& path) {
    const std::string text = read_file(path);
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_P(Runs, EqualRunsHaveEqualBits) {
  const TemporaryFolder a, b;
  EXPECT_EQ(train(tiny_config(), a.path() / "run", ""), train(tiny_config(), b.path() / "run", ""));
}

TEST_P(Runs, AnotherSeedDiffers) {
  const TemporaryFolder a, b;
  EXPECT_NE(train(tiny_config(), a.path() / "run", ""), train(tiny_config({"seed=4"}), b.path() / "run", ""));
}

TEST_P(Runs, InterruptedEqualsUninterrupted) {
  for (const char* optimizer :
       {"{name: sgd, lr: 0.1, momentum: 0.9}", "{name: adamw, lr: 0.01, weight_decay: 0.1}"}) {
    const std::vector<std::string> overrides{"train.epochs=4", fmt::format("optimizer={}", optimizer)};
    const Config config = tiny_config(overrides);
    const TemporaryFolder whole, cut;
    const std::vector<double> expected = train(config, whole.path() / "run", "");

    // Killed after epoch 2: later checkpoints were never written.
    train(config, cut.path() / "run", "");
    for (const int epoch : {3, 4}) fs::remove(checkpoint_path(cut.path() / "run/checkpoints", epoch));
    EXPECT_EQ(train(config, cut.path() / "run", "auto"), expected);
    EXPECT_EQ(lines_in(cut.path() / "run/metrics.jsonl"), 5u) << "four epochs and a summary, none twice";
    EXPECT_EQ(best_accuracy_in(cut.path() / "run"), best_accuracy_in(whole.path() / "run"));
  }
}

TEST_P(Runs, FallsBackFromADamagedCheckpoint) {
  const Config config = tiny_config({"train.epochs=3"});
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  const std::vector<double> expected = train(config, run, "");
  const fs::path newest = checkpoint_path(run / "checkpoints", 3);
  fs::resize_file(newest, fs::file_size(newest) / 2);
  EXPECT_EQ(train(config, run, "auto"), expected);
}

TEST_P(Runs, GoesOnFromAnOlderCheckpointOnRequest) {
  const Config config = tiny_config({"train.epochs=4"});
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run", checkpoints = run / "checkpoints";
  const std::vector<double> expected = train(config, run, "");
  EXPECT_EQ(train(config, run, checkpoint_path(checkpoints, 2).string()), expected);
  EXPECT_EQ(lines_in(run / "metrics.jsonl"), 5u) << "four epochs and a summary, none twice";
  EXPECT_TRUE(fs::exists(checkpoint_path(checkpoints, 4).string() + ".old"))
      << "those ahead of it are set aside";
}

TEST_P(Runs, ACheckpointFromElsewhereBeginsARunOfItsOwn) {
  const Config config = tiny_config({"train.epochs=4"});
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run", other = folder.path() / "other";
  const std::vector<double> expected = train(config, run, "");
  train(tiny_config({"train.epochs=3"}), other, "");
  EXPECT_EQ(train(config, run, checkpoint_path(other / "checkpoints", 1).string()), expected);
  EXPECT_EQ(lines_in(run / "metrics.jsonl"), 4u) << "epochs 2 to 4 and a summary";
  EXPECT_TRUE(fs::exists(folder.path() / "run.1/metrics.jsonl")) << "the earlier run is kept";
}

TEST_P(Runs, AnEarlyStopIsFinal) {
  // Not learning at all: the first epoch stays the best, the second ends the run, and its weights are kept.
  const Config config = tiny_config({"train={epochs: 9, global_batch: 8, early_stop: {patience: 1}}",
                                     "model.layers=[flatten, {linear: 3}]",
                                     "optimizer={name: sgd, lr: 1e-30}", "checkpoint.every_epochs=5"});
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  train(config, run, "");
  const std::vector<fs::path> left = list_checkpoints(run / "checkpoints");
  ASSERT_EQ(left.size(), 1u);
  const std::size_t lines = lines_in(run / "metrics.jsonl");
  train(config, run, "auto");
  EXPECT_EQ(list_checkpoints(run / "checkpoints"), left) << "resuming trains no further";
  EXPECT_EQ(lines_in(run / "metrics.jsonl"), lines) << "and keeps the summary";
}

TEST_P(Runs, WeightsSpoiltByTheLastStepAreNotKept) {
  const Config config = tiny_config({"train={epochs: 1, global_batch: 64}", "optimizer={name: sgd, lr: 3e38}",
                                     "model.layers=[flatten, {linear: 8}, {linear: 3}]"});
  const TemporaryFolder folder;
  EXPECT_THROW(train(config, folder.path() / "run", ""), AgreedError);
  EXPECT_TRUE(list_checkpoints(folder.path() / "run/checkpoints").empty());
}

INSTANTIATE_TEST_SUITE_P(Engines, Runs,
                         ::testing::Values(RunsOn{"reference", EngineKind::reference_f32, "fp32"},
                                           RunsOn{"cpu", EngineKind::cpu, "fp32"},
                                           RunsOn{"cuda", EngineKind::cuda, "fp32"},
                                           RunsOn{"cuda_fp16", EngineKind::cuda, "fp16"}),
                         [](const auto& instance) { return std::string(instance.param.name); });

class CheckpointFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    session_ =
        std::make_unique<Session>(config_, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
    session_->initialize();
    bytes_ = to_safetensors(make_checkpoint(*session_, config_, {2, 10, "val_loss", 0.5, 1}));
  }
  static std::string message_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing thrown";
  }
  RankEnvironment alone_ = RankEnvironment::alone();
  Config config_ = tiny_config();
  std::unique_ptr<Session> session_;
  std::string bytes_;
};

TEST_F(CheckpointFiles, AnyAlteredByteIsNoticed) {
  for (std::size_t at = 8; at < bytes_.size(); at += bytes_.size() / 97 + 1) {
    std::string altered = bytes_;
    altered[at] = static_cast<char>(altered[at] ^ 1);
    EXPECT_THROW(from_safetensors(altered, "x"), Error) << "byte " << at;
  }
}

TEST_F(CheckpointFiles, WithoutItsChecksumIsNotTrusted) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  bytes_.at(bytes_.find("checksum")) = 'k';
  write_file_atomically(path, bytes_);
  EXPECT_NE(message_of([&] { load_checkpoint(path, alone_); }).find("altered"), std::string::npos);
}

TEST_F(CheckpointFiles, AbsurdShapesAreRefused) {
  for (const char* shape : {"[9223372036854775807,4]", "[-1]", "[4]"}) {
    const std::string header =
        fmt::format(R"({{"a":{{"dtype":"F32","shape":{},"data_offsets":[0,12]}}}})", shape);
    const std::uint64_t length = header.size();
    const std::string bytes =
        std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(12, '\0');
    EXPECT_NE(message_of([&] { from_safetensors(bytes, "x"); }).find("x: tensor a"), std::string::npos);
  }
}

TEST_F(CheckpointFiles, EveryTruncationIsNoticed) {
  for (const double share : {0.0, 0.001, 0.3, 0.9, 0.9999}) {
    const std::string cut =
        bytes_.substr(0, static_cast<std::size_t>(share * static_cast<double>(bytes_.size())));
    EXPECT_NE(message_of([&] { from_safetensors(cut, "x.safetensors"); }).find("x.safetensors: truncated"),
              std::string::npos);
  }
}

TEST_F(CheckpointFiles, OfAnotherModelNamesTheTensor) {
  const Config other = tiny_config({"optimizer={name: adam, lr: 0.1}"});
  Session session(other, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
  const TensorFile file = from_safetensors(bytes_, "x");
  EXPECT_NE(message_of([&] { restore_checkpoint(session, file, "x", true); }).find("optimizer.mean.0.weight"),
            std::string::npos);
}

TEST_F(CheckpointFiles, WeightsStandInPyTorchsOrder) {
  const TensorFile file = from_safetensors(bytes_, "x");
  EXPECT_EQ(file.tensors.at("0.weight").shape, (std::vector<std::int64_t>{4, 2, 3, 3}));
  EXPECT_EQ(file.tensors.at("7.weight").shape, (std::vector<std::int64_t>{3, 36}));
}

TEST_F(CheckpointFiles, OldOnesAreRemoved) {
  const TemporaryFolder folder;
  for (const int epoch : {1, 2, 9, 10, 11})
    write_file_atomically(checkpoint_path(folder.path(), epoch), bytes_);
  remove_old_checkpoints(folder.path(), 2);
  const auto left = list_checkpoints(folder.path());
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0], checkpoint_path(folder.path(), 11));
  EXPECT_EQ(left[1], checkpoint_path(folder.path(), 10));
}

}  // namespace
}  // namespace convoy::testing
