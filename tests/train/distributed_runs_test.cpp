// Whole runs on several ranks: stopped in the middle of an epoch, gone on with on as many ranks or on others.
// Started by mpirun.
#include <gtest/gtest.h>

#include "tests/test_environment.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class DistributedRuns : public ::testing::TestWithParam<EngineKind> {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << "needs several ranks: mpirun -np 2 convoy_tests";
    if (GetParam() == EngineKind::cuda && cuda_device_count() < ranks().local_size()) {
      GTEST_SKIP() << "needs " << ranks().local_size() << " CUDA devices, found " << cuda_device_count();
    }
    std::string path = files_.run().string();  // the root's, whose disk is the one that counts
    path.resize(4096);
    ranks().broadcast(path.data(), path.size());
    run_ = path.c_str();
  }
  void TearDown() override { ranks().max(0); }  // before the root removes what the others look at
  RunResult train(const Config& config, const std::string& resume, std::function<bool()> stop = {}) const {
    RunResult result = train_run(config, run_, resume, GetParam(), ranks(), std::move(stop));
    ranks().max(0);  // the files are there
    return result;
  }
  /// Does something to files, on the root alone, when all have come here and before anyone goes on.
  template <class Work>
  static void on_root(Work work) {
    ranks().max(0);
    if (ranks().is_root()) work();
    ranks().max(0);
  }
  static void expect_near(const std::vector<nlohmann::json>& got,
                          const std::vector<nlohmann::json>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      for (const char* key : {"train_loss", "train_accuracy", "val_loss", "val_accuracy"})
        EXPECT_NEAR(got[i][key].get<double>(), expected[i][key].get<double>(), 1e-4) << key;
    }
  }
  const RunFiles files_;
  fs::path run_;
};

TEST_P(DistributedRuns, GoOnWithinAnEpochToTheSameBits) {
  const Config config = tiny_config({"checkpoint={every_steps: 1, keep: 0}", "train.epochs=2"});
  const std::vector<double> expected = train(config, "").weights;
  const std::vector<nlohmann::json> metrics = metrics_of(run_);
  for (const char* place : {"epoch-0002-step-00000008", "epoch-0001", "epoch-0001-step-00000003"}) {
    on_root([&] { kill_after(run_ / "checkpoints", fmt::format("{}.safetensors", place)); });
    EXPECT_EQ(train(config, "auto").weights, expected) << place;
    EXPECT_EQ(metrics_of(run_), metrics) << place;
  }
}

TEST_P(DistributedRuns, GoOnAlone) {
  const Config config = tiny_config({"checkpoint={every_steps: 1, keep: 0}", "train.epochs=2"});
  const std::vector<double> expected = train(config, "").weights;
  on_root([&] {
    const std::vector<nlohmann::json> metrics = metrics_of(run_);
    kill_after(run_ / "checkpoints", "epoch-0001-step-00000003.safetensors");
    const RankEnvironment alone = RankEnvironment::alone();
    const RunResult resumed = train_run(config, run_, "auto", GetParam(), alone);
    EXPECT_LT(largest_difference(resumed.weights, expected), 2e-5);
    expect_near(metrics_of(run_), metrics);
    // And the other way round: what one rank left, all go on with.
    kill_after(run_ / "checkpoints", "epoch-0002-step-00000007.safetensors");
  });
  EXPECT_LT(largest_difference(train(config, "auto").weights, expected), 2e-5);
}

TEST_P(DistributedRuns, StopTogetherWhoeverIsAsked) {
  const Config config = tiny_config({"train.epochs=2"});
  const std::vector<double> expected = train(config, "").weights;
  const std::vector<nlohmann::json> metrics = metrics_of(run_);
  for (int asked = 0; asked < ranks().size(); ++asked) {
    on_root([&] { fs::remove_all(run_); });
    int step = 0;
    const RunResult stopped = train(config, "", [&] { return ranks().rank() == asked && step++ >= asked; });
    EXPECT_FALSE(stopped.finished);
    EXPECT_TRUE(train(config, "auto").finished);
    EXPECT_EQ(metrics_of(run_), metrics);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, DistributedRuns,
                         ::testing::Values(EngineKind::reference_f32, EngineKind::cpu, EngineKind::cuda),
                         [](const auto& instance) -> std::string {
                           switch (instance.param) {
                             case EngineKind::cpu:
                               return "cpu";
                             case EngineKind::cuda:
                               return "cuda";
                             default:
                               return "reference";
                           }
                         });

}  // namespace
}  // namespace convoy::testing
