// CIFAR's binary records: channel order, both label bytes, and files that are not as they should be.
#include <gtest/gtest.h>

#include <string>

#include "src/data/dataset.h"
#include "tests/data/support.h"

namespace convoy::testing {
namespace {

// A record whose red, green and blue planes start at `first`, 85 apart, and count up along the plane.
Bytes record(const Bytes& label_bytes, int first) {
  Bytes bytes = label_bytes;
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<std::uint8_t>(first + 85 * c + i));
  }
  return bytes;
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::string batch(int i) {
  return "data_batch_" + std::to_string(i) + ".bin";
}

class Cifar : public ::testing::Test {
 protected:
  Cifar() {
    for (int i = 1; i <= 5; ++i) {
      const auto label = static_cast<std::uint8_t>(i);
      folder.write(batch(i), record({label}, i) + record({0}, 10 * i));
    }
    folder.write("test_batch.bin", record({9}, 200));
    folder.write("train.bin", record({19, 99}, 1) + record({0, 42}, 2));
    folder.write("test.bin", record({3, 7}, 3));
  }
  DataConfig config(Source source) const { return data_config(source, folder.path()); }
  std::string message(Source source) const { return message_of_loading(config(source)); }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }

  TemporaryFolder folder;
};

TEST_F(Cifar, ReadsTheSixFilesOfCifar10) {
  const Dataset data = load_dataset(config(Source::cifar10), 1);
  EXPECT_EQ(data.image, (FeatureShape{1, 32, 32, 3}));
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.labels, (std::vector<std::int32_t>{1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 9}));
  EXPECT_EQ(data.train.size(), 10u);
  EXPECT_EQ(data.validation, std::vector<std::int32_t>{10});
  ASSERT_EQ(data.images.size(), 11u * 3072);
  const int starts[] = {1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 200};
  for (std::size_t n = 0; n < 11; ++n) {
    for (std::size_t i = 0; i < 1024; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        const auto expected = static_cast<std::uint8_t>(static_cast<std::size_t>(starts[n]) + 85 * c + i);
        ASSERT_EQ(data.images[(n * 1024 + i) * 3 + c], expected)
            << "image " << n << " pixel " << i << " channel " << c;
      }
    }
  }
}

TEST_F(Cifar, TheFineLabelCountsForCifar100) {
  const Dataset data = load_dataset(config(Source::cifar100), 1);
  EXPECT_EQ(data.classes, 100);
  EXPECT_EQ(data.labels, (std::vector<std::int32_t>{99, 42, 7}));
  EXPECT_EQ(data.train.size(), 2u);
  EXPECT_EQ(data.images[2 * 3072], 3) << "pixels begin behind both label bytes";
  EXPECT_EQ(data.images[2 * 3072 + 1], 3 + 85);
}

TEST_F(Cifar, AValidationFractionNeedsNoTestFile) {
  folder.remove("test_batch.bin");
  DataConfig fraction = config(Source::cifar10);
  fraction.validation_fraction = 0.2;
  fraction.test = DataConfig::Test::none;
  EXPECT_EQ(load_dataset(fraction, 1).validation.size(), 2u);
  expect_contains(message(Source::cifar10), {path("test_batch.bin"), "data_batch_1.bin to data_batch_5.bin"});
}

TEST_F(Cifar, MissingFolderAndFile) {
  expect_contains(message_of_loading(data_config(Source::cifar10, path("nowhere"))),
                  {"data.path", path("nowhere"), "data_batch_1.bin", "test_batch.bin"});
  const TemporaryFolder empty;
  expect_contains(message_of_loading(data_config(Source::cifar100, empty.path())),
                  {(empty.path() / "train.bin").string(), "train.bin and test.bin"});
}

TEST_F(Cifar, TruncatedFilesNameTheRecord) {
  Bytes bytes = folder.read(batch(3));
  bytes.pop_back();
  folder.write(batch(3), bytes);
  expect_contains(message(Source::cifar10), {path(batch(3)), "6145 bytes", "record 1 at byte 3073"});
  folder.write(batch(3), {});
  expect_contains(message(Source::cifar10), {path(batch(3)), "0 bytes"});
}

TEST_F(Cifar, FilesOfTheOtherKindAreRefused) {
  folder.write("train.bin", folder.read(batch(1)));
  expect_contains(message(Source::cifar100), {path("train.bin"), "records of 3074 bytes"});
}

TEST_F(Cifar, LabelsOutOfRangeNameTheRecord) {
  folder.write(batch(5), record({0}, 0) + record({10}, 0));
  expect_contains(message(Source::cifar10), {path(batch(5)), "record 1 at byte 3073", "label 10", "0..9"});
  folder.write("test.bin", record({20, 7}, 0));
  expect_contains(message(Source::cifar100), {path("test.bin"), "record 0 at byte 0", "label 20", "0..19"});
  folder.write("test.bin", record({3, 100}, 0));
  expect_contains(message(Source::cifar100), {path("test.bin"), "record 0 at byte 1", "label 100", "0..99"});
}

}  // namespace
}  // namespace convoy::testing
