// Checkpoints as files: nothing that befalls one goes unnoticed.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "core/regular_file.h"
#include "src/checkpoint/weights_file.h"
#include "src/engine/tensor_values.h"
#include "src/infer/trained_model.h"
#include "tests/train/runs.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

class CheckpointFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    session_ =
        std::make_unique<Session>(config_, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
    session_->initialize();
    Progress progress;
    progress.epochs_done = 2;
    progress.steps_done = 11;
    progress.images_done = 8;
    progress.order = "16 images, seed 3";
    progress.metrics = {1, 2, 3};
    progress.metrics_ranks = 1;
    Snapshot snapshot(*session_);
    snapshot.take(progress);
    snapshot.write(folder_.path() / "x.safetensors", to_yaml(config_));
    bytes_ = read_file(folder_.path() / "x.safetensors");
  }
  static std::string message_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing thrown";
  }
  /// The file's size up to the end of each of its parts.
  std::vector<std::size_t> boundaries() const {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), 8);
    std::vector<std::size_t> ends{0, 8, 8 + length};
    const auto header = nlohmann::json::parse(bytes_.substr(8, length));
    for (const auto& [name, tensor] : header.items()) {
      if (name != "__metadata__") ends.push_back(8 + length + tensor["data_offsets"][1].get<std::size_t>());
    }
    return ends;
  }
  const TemporaryFolder folder_;
  RankEnvironment alone_ = RankEnvironment::alone();
  Config config_ = tiny_config();
  std::unique_ptr<Session> session_;
  std::string bytes_;
};

TEST_F(CheckpointFiles, AnyAlteredByteIsNoticed) {
  for (std::size_t at = 0; at < bytes_.size(); ++at) {
    std::string altered = bytes_;
    altered[at] = static_cast<char>(altered[at] ^ (1 << at % 8));
    try {
      require_checkpoint(from_safetensors(altered, "x"), "x");
      ADD_FAILURE() << "byte " << at << " of " << bytes_.size();
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("x: ")) << error.what();
    }
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
  for (const std::size_t boundary : boundaries()) {
    for (const std::size_t size : {boundary - 1, boundary, boundary + 1}) {
      if (size >= bytes_.size()) continue;  // also -1
      EXPECT_NE(message_of([&] {
                  from_safetensors(bytes_.substr(0, size), "x.safetensors");
                }).find("x.safetensors: truncated"),
                std::string::npos)
          << size;
    }
  }
  EXPECT_NE(message_of([&] { from_safetensors(bytes_ + "x", "x"); }).find("x: 1 bytes behind"),
            std::string::npos);
}

// A kill while it was written, a bad disk: whatever happened to the newest, the one before serves.
TEST_F(CheckpointFiles, TheOneBeforeADamagedOneIsUsed) {
  const TemporaryFolder folder;
  const fs::path older = after_epoch(folder.path(), 1), newer = after_epoch(folder.path(), 2);
  write_file_atomically(older, bytes_);
  const auto loaded_beside = [&](const std::string& damaged) {
    write_file_atomically(newer, damaged);
    ::testing::internal::CaptureStdout();
    const std::optional<LoadedCheckpoint> loaded = load_checkpoint(folder.path(), alone_);
    const std::string said = ::testing::internal::GetCapturedStdout();
    EXPECT_EQ(said.find("skipping a checkpoint") != std::string::npos, damaged != bytes_) << said;
    EXPECT_EQ(said.find(newer.string()) != std::string::npos, damaged != bytes_) << said;
    return loaded->path;
  };
  EXPECT_EQ(loaded_beside(bytes_), newer);
  for (std::size_t at = 0; at < bytes_.size(); at += bytes_.size() / 61 + 1) {
    std::string altered = bytes_;
    altered[at] = static_cast<char>(~altered[at]);
    EXPECT_EQ(loaded_beside(altered), older) << at;
  }
  for (const std::size_t size : boundaries()) {
    if (size == bytes_.size()) continue;
    EXPECT_EQ(loaded_beside(bytes_.substr(0, size)), older) << size;
  }
  write_file_atomically(older, "");
  write_file_atomically(newer, "");
  EXPECT_NE(message_of([&] { load_checkpoint(folder.path(), alone_); }).find("none of its 2 checkpoints"),
            std::string::npos);
  write_file_atomically(best_checkpoint_path(folder.path()), bytes_);
  EXPECT_EQ(load_checkpoint(folder.path(), alone_)->path, best_checkpoint_path(folder.path()));
}

TEST_F(CheckpointFiles, TensorsNeitherShareBytesNorLeaveGaps) {
  for (const char* ranges : {"[0,8],[0,8]", "[0,8],[4,12]", "[4,12],[12,20]", "[0,8],[12,20]"}) {
    const std::string text = ranges;
    const std::string first = text.substr(0, text.find("],") + 1), second = text.substr(text.find("],") + 2);
    const std::string header = fmt::format(R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":{}}},)"
                                           R"("b":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})",
                                           first, second);
    const std::uint64_t length = header.size();
    const std::string bytes =
        std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(20, '\0');
    EXPECT_NE(message_of([&] { from_safetensors(bytes, "x"); }).find("overlap or leave gaps"),
              std::string::npos)
        << ranges;
  }
}

TEST_F(CheckpointFiles, NestingWithoutEndIsRefused) {
  const std::string header(100000, '[');
  const std::uint64_t length = header.size();
  EXPECT_NE(message_of([&] {
              from_safetensors(std::string(reinterpret_cast<const char*>(&length), 8) + header, "x");
            }).find("x: not a safetensors file"),
            std::string::npos);
}

TEST_F(CheckpointFiles, ProgressSurvives) {
  const Progress progress = progress_in(from_safetensors(bytes_, "x"), "x");
  EXPECT_EQ(progress.epochs_done, 2);
  EXPECT_EQ(progress.steps_done, 11);
  EXPECT_EQ(progress.images_done, 8);
  EXPECT_EQ(progress.order, "16 images, seed 3");
  EXPECT_EQ(progress.metrics, (std::vector<double>{1, 2, 3}));
}

// Format 1 had neither a position within the epoch nor times.
TEST_F(CheckpointFiles, OfTheOlderFormatAreRead) {
  TensorFile file = from_safetensors(bytes_, "x");
  file.metadata["format"] = "convoy-checkpoint-1";
  for (const char* key : {"images_done", "order", "seconds", "epoch_seconds"}) file.metadata.erase(key);
  const Progress progress = restore_checkpoint(*session_, file, "x", true);
  EXPECT_EQ(progress.steps_done, 11);
  EXPECT_EQ(progress.images_done, 0);
  file.metadata["format"] = "convoy-checkpoint-4";
  EXPECT_NE(message_of([&] { require_checkpoint(file, "x"); }).find("another version"), std::string::npos);
}

// Formats 1 and 2 held this layer's columns in one order and later in another.
TEST_F(CheckpointFiles, OfOlderFormatsAreRefusedWhereTheyLeaveAnOrderOpen) {
  const fs::path path = folder_.path() / "y.safetensors";
  const auto stored = [&](const std::string& layers, const std::string& format) {
    const Config config = tiny_config({"model.layers=" + layers});
    Session session(config, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
    session.initialize();
    Snapshot snapshot(session);
    snapshot.take({});
    snapshot.write(path, to_yaml(config));
    TensorFile file = from_safetensors(read_file(path), "y");
    EXPECT_EQ(file.metadata.at("format"), "convoy-checkpoint-3");
    file.metadata["format"] = format;
    write_file_atomically(path, to_safetensors(file));
    std::string restored, initialised, used;
    restored = message_of([&] { restore_checkpoint(session, file, "y", true); });
    initialised = message_of([&] { restore_weights(session, file, "y"); });
    used = message_of([&] { load_trained_model(path, false, alone_); });
    EXPECT_EQ(restored == "nothing thrown", initialised == "nothing thrown") << initialised;
    EXPECT_EQ(restored == "nothing thrown", used == "nothing thrown") << used;
    return restored;
  };
  for (const char* between : {"relu", "dropout: 0.5", "tanh, dropout: 0.5"}) {
    const std::string layers = fmt::format("[flatten, {}, linear: 3]", between);
    for (const char* older : {"convoy-checkpoint-1", "convoy-checkpoint-2"}) {
      const std::string message = stored(layers, older);
      EXPECT_NE(message.find(fmt::format("y: its format, {}, does not say", older)), std::string::npos)
          << message;
      EXPECT_NE(message.find("train again"), std::string::npos) << message;
    }
    EXPECT_EQ(stored(layers, "convoy-checkpoint-3"), "nothing thrown");
  }
  for (const char* layers :
       {"[flatten, linear: 5, relu, linear: 3]", "[globalavgpool, flatten, relu, linear: 3]"})
    EXPECT_EQ(stored(layers, "convoy-checkpoint-2"), "nothing thrown") << layers;
}

TEST_F(CheckpointFiles, NumbersAreNumbers) {
  for (const char* text : {"", "x", "1x", " 1", "-1", "nan", "99999999999", "1e3"}) {
    TensorFile file = from_safetensors(bytes_, "x");
    file.metadata["epochs_done"] = text;
    EXPECT_NE(message_of([&] {
                progress_in(file, "x");
              }).find(fmt::format("x: its epochs_done is \"{}\", no whole number from 0", text)),
              std::string::npos)
        << text;
  }
}

TEST_F(CheckpointFiles, OfAnotherModelNamesTheTensor) {
  const Config other = tiny_config({"optimizer={name: adam, lr: 0.1}"});
  Session session(other, tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
  const TensorFile file = from_safetensors(bytes_, "x");
  EXPECT_NE(message_of([&] { restore_checkpoint(session, file, "x", true); }).find("optimizer.mean.0.weight"),
            std::string::npos);
}

// train.ema newly on: the average begins with the weights.
TEST_F(CheckpointFiles, WeightsStandInForAnAverageThatIsNotThere) {
  Session averaging(tiny_config({"train.ema=0.9"}), tiny_data(16, 4), make_engine(EngineKind::cpu, alone_),
                    alone_);
  averaging.initialize();
  write_values(averaging.engine(), averaging.plans().layout.average,
               std::vector<double>(static_cast<std::size_t>(averaging.plans().layout.average.count), 7.0));
  restore_checkpoint(averaging, from_safetensors(bytes_, "x"), "x", true);
  for (const Tensor& parameter : averaging.plans().layout.parameters) {
    EXPECT_EQ(averaging.read_values(same_place(parameter, averaging.plans().layout.average)),
              averaging.read_values(parameter));
  }
}

// As PyTorch writes a BatchNorm's num_batches_tracked, with spaces behind the header.
TEST_F(CheckpointFiles, TensorsOfForeignTypesAreLeftOut) {
  const auto file = [](const std::string& type, std::size_t size) {
    const std::string header = fmt::format(R"({{"n":{{"dtype":"{}","shape":[],"data_offsets":[0,{}]}},)"
                                           R"("w":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}}}   )",
                                           type, size, size, size + 4);
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + std::string(size + 4, '\0');
  };
  const TensorFile read = from_safetensors(file("I64", 8), "x");
  EXPECT_EQ(read.tensors.size(), 1u);
  EXPECT_TRUE(read.tensors.contains("w"));
  EXPECT_NE(message_of([&] { from_safetensors(file("I64", 4), "x"); }).find("tensor n"), std::string::npos);
  EXPECT_NE(message_of([&] { from_safetensors(file("I128", 16), "x"); }).find("I128"), std::string::npos);
}

// The format does not promise that a tensor begins where its type may.
TEST_F(CheckpointFiles, TensorsAtOddPlacesAreRead) {
  const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("w":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  const std::uint64_t length = header.size();
  const std::array<float, 2> values{1.5f, -2};
  const std::string bytes = std::string(reinterpret_cast<const char*>(&length), 8) + header + "x" +
                            std::string(reinterpret_cast<const char*>(values.data()), sizeof values);
  const TensorFile file = from_safetensors(bytes, "x");
  const std::span<const float> read = floats_in(file, "w", {2});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.data()) % sizeof(float), 0u);
  EXPECT_EQ(std::vector(read.begin(), read.end()), std::vector(values.begin(), values.end()));
}

// Longer than the pieces that cores take of it.
TEST_F(CheckpointFiles, ChecksumsOfLongFilesCoverEveryPiece) {
  TensorFile file;
  file.tensors["w"] = {DType::u8, {5 << 20}, std::vector<std::byte>(5 << 20, std::byte{1})};
  std::string bytes = to_safetensors(file);
  EXPECT_TRUE(from_safetensors(bytes, "x").is_verified);
  for (std::size_t at = bytes.size() - 1; at > 1 << 20; at -= (1 << 20) - 7) {
    bytes[at] = 2;
    EXPECT_NE(message_of([&] { from_safetensors(bytes, "x"); }).find("x: altered"), std::string::npos) << at;
    bytes[at] = 1;
  }
}

TEST_F(CheckpointFiles, WeightsAloneComeFromAnyFile) {
  TensorFile file = exported_weights(from_safetensors(bytes_, "x"), "x");
  Session other(tiny_config({"seed=4"}), tiny_data(16, 4), make_engine(EngineKind::cpu, alone_), alone_);
  other.initialize();
  EXPECT_NE(weights_of(other), weights_of(*session_));
  restore_weights(other, from_safetensors(to_safetensors(file), "x"), "x");
  EXPECT_EQ(weights_of(other), weights_of(*session_));

  const std::string first = file.tensors.begin()->first;
  FileTensor& tensor = file.tensors[first];
  file.tensors["another.weight"] = tensor;
  EXPECT_NE(message_of([&] { restore_weights(other, file, "x"); }).find("left over: another.weight"),
            std::string::npos);
  file.tensors.erase("another.weight");
  tensor.shape.push_back(1);
  EXPECT_NE(message_of([&] { restore_weights(other, file, "x"); }).find("of another shape: " + first),
            std::string::npos);
  other.initialize();
  const auto before = weights_of(other), stored = weights_of(*session_);
  restore_weights(other, file, "x", {"0"});  // first is 0.bias
  const auto after = weights_of(other);
  EXPECT_EQ(first, "0.bias");
  EXPECT_NE(after, before);
  EXPECT_NE(after, stored);
  EXPECT_NE(message_of([&] {
              restore_weights(other, file, "x", {"0", "9"});
            }).find("--init-except 9"),
            std::string::npos);
  file.tensors.erase(first);
  EXPECT_NE(message_of([&] { restore_weights(other, file, "x"); }).find("missing: " + first),
            std::string::npos);
}

TEST_F(CheckpointFiles, WeightsStandInPyTorchsOrder) {
  const TensorFile file = from_safetensors(bytes_, "x");
  EXPECT_EQ(file.tensors.at("0.weight").shape, (std::vector<std::int64_t>{4, 2, 3, 3}));
  EXPECT_EQ(file.tensors.at("7.weight").shape, (std::vector<std::int64_t>{3, 36}));
}

TEST_F(CheckpointFiles, OldOnesAreRemoved) {
  const TemporaryFolder folder;
  const std::vector<const char*> oldest_first = {"epoch-0002.safetensors",
                                                 "epoch-0003-step-00000900.safetensors",
                                                 "epoch-0003-step-00001000.safetensors",
                                                 "epoch-0003-step-100000000.safetensors",
                                                 "epoch-0003.safetensors",
                                                 "epoch-9999.safetensors",
                                                 "epoch-10000-step-00000001.safetensors",
                                                 "epoch-10000.safetensors"};
  for (const char* name : oldest_first) write_file_atomically(folder.path() / name, "");
  for (const char* name : {"best.safetensors", "epoch-0001.safetensors.old", "epoch-x.safetensors",
                           "epoch-0003-step-.safetensors", "epoch-0004.safetensors.tmp"})
    write_file_atomically(folder.path() / name, "");  // none of ours to list
  std::vector<fs::path> left = list_checkpoints(folder.path());
  ASSERT_EQ(left.size(), oldest_first.size());
  for (std::size_t i = 0; i < left.size(); ++i)
    EXPECT_EQ(left[i].filename(), oldest_first[left.size() - 1 - i]);
  remove_old_checkpoints(folder.path(), 2);
  left.resize(2);
  EXPECT_EQ(list_checkpoints(folder.path()), left);
  EXPECT_TRUE(fs::exists(best_checkpoint_path(folder.path())));
}

TEST_F(CheckpointFiles, AFolderIsNoCheckpoint) {
  const TemporaryFolder folder;
  const fs::path good = folder.path() / "epoch-0003.safetensors";
  write_file_atomically(good, bytes_);
  fs::create_directories(folder.path() / "epoch-0009.safetensors" / "inside");
  fs::create_directories(folder.path() / "best.safetensors" / "inside");
  EXPECT_EQ(list_checkpoints(folder.path()), std::vector<fs::path>{good});
  const auto loaded = load_checkpoint(folder.path(), RankEnvironment::alone());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->path, good);
  EXPECT_NO_THROW(remove_old_checkpoints(folder.path(), 1));
  EXPECT_TRUE(fs::exists(good)) << "a folder does not count as one that is kept";
  fs::create_directories(good.string() + ".old/inside");
  Progress progress;
  progress.epochs_done = 1;
  try {
    tidy_checkpoints(folder.path(), progress);
    ADD_FAILURE() << "nothing is thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("move one of them away"), std::string::npos) << error.what();
  }
}

TEST_F(CheckpointFiles, OnResumeLaterOnesAreSetAsideAndRemainsRemoved) {
  const TemporaryFolder folder;
  const fs::path best = best_checkpoint_path(folder.path());
  write_file_atomically(best, bytes_);  // of epoch 3, step 11
  for (const char* name :
       {"epoch-0002.safetensors", "epoch-0003-step-00000011.safetensors",
        "epoch-0003-step-00000012.safetensors", "epoch-0003.safetensors", "x.0123abcd.tmp", "x.tmp"})
    write_file_atomically(folder.path() / name, "");
  Progress progress = progress_in(from_safetensors(bytes_, "x"), "x");
  tidy_checkpoints(folder.path(), progress);
  EXPECT_EQ(list_checkpoints(folder.path()).size(), 2u);
  EXPECT_EQ(list_checkpoints(folder.path())[0].filename(), "epoch-0003-step-00000011.safetensors");
  EXPECT_TRUE(fs::exists(folder.path() / "epoch-0003.safetensors.old"));
  EXPECT_FALSE(fs::exists(folder.path() / "x.0123abcd.tmp"));
  EXPECT_TRUE(fs::exists(folder.path() / "x.tmp")) << "no name of ours";
  EXPECT_TRUE(fs::exists(best));
  progress.steps_done = 10;
  tidy_checkpoints(folder.path(), progress);
  EXPECT_FALSE(fs::exists(best));
}

}  // namespace
}  // namespace convoy::testing
