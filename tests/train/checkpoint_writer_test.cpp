// Checkpoints are written beside training; a disk that fails does not end the run.
#include "src/train/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "comm/agree.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class Writer : public ::testing::Test {
 protected:
  static RunResult train(const Config& config, const fs::path& folder, const std::string& resume,
                         std::function<bool()> each_step = {}) {
    return train_run(config, folder, resume, EngineKind::cpu, RankEnvironment::alone(), std::move(each_step));
  }
  std::unique_ptr<Session> make_session() const {
    return std::make_unique<Session>(config_, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
  }
  const RankEnvironment alone_ = RankEnvironment::alone();
  const Config config_ = tiny_config();
  const RunFiles files_;
};

TEST_F(Writer, WritesTheStateAtTheTimeOfTheCall) {
  const auto session = make_session();
  session->initialize();
  fs::create_directories(files_.checkpoints());
  CheckpointWriter writer(*session, files_.checkpoints(), 2, to_yaml(config_));
  std::vector<std::vector<double>> weights;
  Progress progress;
  for (progress.epochs_done = 1; progress.epochs_done <= 4; ++progress.epochs_done) {
    train_epochs(*session, config_, progress.epochs_done, 1);
    weights.push_back(weights_of(*session));
    writer.save(progress, {checkpoint_path(files_.checkpoints(), progress)});
    session->initialize();  // what follows does not show in the file
    train_epochs(*session, config_, 7, 1);
  }
  writer.finish();
  const std::vector<fs::path> left = list_checkpoints(files_.checkpoints());
  ASSERT_EQ(left, (std::vector<fs::path>{after_epoch(files_.checkpoints(), 4),
                                         after_epoch(files_.checkpoints(), 3)}));
  for (const int epoch : {3, 4}) {
    const fs::path path = after_epoch(files_.checkpoints(), epoch);
    const Progress stored =
        restore_checkpoint(*session, from_safetensors(read_file(path), path.string()), path.string(), true);
    EXPECT_EQ(stored.epochs_done, epoch);
    EXPECT_EQ(weights_of(*session), weights[static_cast<std::size_t>(epoch - 1)]);
  }
}

TEST_F(Writer, WeightsThatAreNotFiniteAreNotWritten) {
  const auto session = make_session();
  session->initialize();
  fs::create_directories(files_.checkpoints());
  const NamedTensor spoilt = session->named_tensors(false).at(1);
  std::vector<double> values = session->read_values(spoilt.tensor);
  values.back() = std::numeric_limits<double>::quiet_NaN();
  session->write_values(spoilt.tensor, values);
  CheckpointWriter writer(*session, files_.checkpoints(), 2, to_yaml(config_));
  writer.save({}, {after_epoch(files_.checkpoints(), 1)});
  EXPECT_THROW(writer.finish(), Error);
  EXPECT_TRUE(fs::is_empty(files_.checkpoints()));
  session->initialize();
  writer.save({}, {after_epoch(files_.checkpoints(), 1)});
  EXPECT_NO_THROW(writer.finish()) << "the next one counts";
}

}  // namespace
}  // namespace convoy::testing
