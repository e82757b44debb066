// Checkpoints are written beside training; a disk that fails does not end the run.
#include "src/checkpoint/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "comm/agree.h"
#include "core/regular_file.h"
#include "tests/io/scoped_limits.h"
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

// Five steps an epoch, each with a checkpoint that the next but one finds written. The disk is bad while
// steps 8 to 11 are done.
class BadDisk : public Writer {
 protected:
  /// Calls `begin` and `end` where a run's steps ask whether they should stop; so does each epoch's end.
  static std::function<bool()> during_steps(std::function<void()> begin, std::function<void()> end) {
    return [=, calls = 0]() mutable {
      ++calls;
      if (calls == 9) begin();
      if (calls == 14) end();
      return false;
    };
  }
  static bool has(const RunFiles& files, const char* name) {
    return fs::exists(files.checkpoints() / fmt::format("{}.safetensors", name));
  }
  static void expect_what_was_written(const RunFiles& files) {
    for (const char* name : {"epoch-0001", "epoch-0002-step-00000006", "epoch-0003-step-00000012",
                             "epoch-0003-step-00000014", "epoch-0003"})
      EXPECT_TRUE(has(files, name)) << name;
    for (const char* name : {"epoch-0002-step-00000008", "epoch-0002-step-00000009", "epoch-0002"})
      EXPECT_FALSE(has(files, name)) << name;
  }
  const Config steps_ = tiny_config({"train.epochs=3", "checkpoint={every_steps: 1, keep: 0}"});
};

TEST_F(BadDisk, ThatIsFullDoesNotEndTheRun) {
  const RunFiles whole;
  const std::vector<double> expected = train(steps_, whole.run(), "").weights;
  std::optional<ScopedFileSizeLimit> full;
  ::testing::internal::CaptureStdout();
  const RunResult result =
      train(steps_, files_.run(), "", during_steps([&] { full.emplace(3000); }, [&] { full.reset(); }));
  const std::string said = ::testing::internal::GetCapturedStdout();
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.weights, expected);
  const std::size_t first = said.find("no checkpoint: cannot write");
  EXPECT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("no checkpoint: ", first + 1), std::string::npos) << "once: " << said;
  EXPECT_NE(said.find("checkpoints are written again"), std::string::npos) << said;
  expect_what_was_written(files_);
  for (const fs::directory_entry& entry : fs::directory_iterator(files_.checkpoints()))
    EXPECT_EQ(entry.path().extension(), ".safetensors") << "nothing half-written";
  EXPECT_EQ(metrics_of(files_.run()), metrics_of(whole.run()));
}

TEST_F(Writer, MetricsThatHadNoRoomComeLater) {
  RunFolder folder(files_.run());
  folder.prepare_new(config_);
  EpochRecord record;
  for (record.epoch = 1; record.epoch <= 3; ++record.epoch) {
    const ScopedFileSizeLimit limit(record.epoch == 2 ? 250 : 10000);
    if (record.epoch == 2)
      EXPECT_THROW(folder.append(record), Error);
    else
      folder.append(record);
    EXPECT_EQ(metrics_of(files_.run()).size(),
              record.epoch == 2 ? 1u : static_cast<std::size_t>(record.epoch));
  }
}

TEST_F(BadDisk, ThatIsReadOnlyDoesNotEndTheRun) {
  const ScopedUnprivileged user;  // root writes everywhere
  if (!user.is_effective()) GTEST_SKIP() << "cannot give up being root";
  if (access(fs::temp_directory_path().c_str(), W_OK) != 0)
    GTEST_SKIP() << "only root may write to the folder for temporary files";
  const RunFiles mine;
  const RunResult result = train(steps_, mine.run(), "",
                                 during_steps([&] { chmod(mine.checkpoints().c_str(), 0555); },
                                              [&] { chmod(mine.checkpoints().c_str(), 0755); }));
  EXPECT_TRUE(result.finished);
  expect_what_was_written(mine);
}

TEST_F(Writer, WithoutTheLastCheckpointARunHasFailed) {
  const Config config = tiny_config({"train.epochs=2"});
  std::optional<ScopedFileSizeLimit> full;
  int calls = 0;
  try {
    train(config, files_.run(), "", [&] {
      if (++calls == 8) {  // in epoch 2
        while (!fs::exists(after_epoch(files_.checkpoints(), 1))) std::this_thread::yield();
        full.emplace(2000);  // enough for metrics
      }
      return false;
    });
    ADD_FAILURE() << "nothing thrown";
  } catch (const AgreedError& error) {
    EXPECT_NE(std::string(error.what()).find("the last checkpoint is missing: cannot write"),
              std::string::npos)
        << error.what();
    EXPECT_EQ(error.code(), ExitCode::failure);
  }
  full.reset();
  EXPECT_EQ(list_checkpoints(files_.checkpoints()).size(), 1u);
  EXPECT_TRUE(train(config, files_.run(), "auto").finished);
}

}  // namespace
}  // namespace convoy::testing
