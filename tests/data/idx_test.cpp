// IDX files: what is read, and what is said of files that are not as they should be.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <numeric>

#include "src/data/dataset.h"
#include "tests/data/support.h"
#include "tests/source_dir.h"

namespace convoy::testing {
namespace {

constexpr int height = 3, width = 2;

// Pixels count up from `from`.
Bytes images(int count, int from = 0) {
  return idx_images(count, height, width, from);
}

// A folder of three training and two test images, correct until a test alters it.
class Idx : public ::testing::Test {
 protected:
  Idx() {
    folder.write("train-images-idx3-ubyte", images(3));
    folder.write("train-labels-idx1-ubyte", idx_labels({9, 0, 4}));
    folder.write("t10k-images-idx3-ubyte", images(2, 100));
    folder.write("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
  }
  DataConfig config() const { return data_config(Source::mnist, folder.path()); }
  std::string message() const { return message_of_loading(config()); }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }

  TemporaryFolder folder;
};

TEST_F(Idx, ReadsFourFiles) {
  const Dataset data = load_dataset(config(), 1);
  EXPECT_EQ(data.image, (FeatureShape{1, height, width, 1}));
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.labels, (std::vector<std::int32_t>{9, 0, 4, 1, 2}));
  EXPECT_EQ(data.train, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(data.validation, (std::vector<std::int32_t>{3, 4}));
  Bytes pixels(18 + 12);
  std::iota(pixels.begin(), pixels.begin() + 18, 0);
  std::iota(pixels.begin() + 18, pixels.end(), 100);
  EXPECT_EQ(data.images, pixels);
}

TEST_F(Idx, ReadsGzippedFilesAndNamesWithADot) {
  const Dataset plain = load_dataset(config(), 1);
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"}) {
    folder.write_gzipped(std::string(name) + ".gz", folder.read(name));
    folder.remove(name);
  }
  std::filesystem::rename(path("t10k-labels-idx1-ubyte"), path("t10k-labels.idx1-ubyte"));
  std::filesystem::rename(path("t10k-images-idx3-ubyte.gz"), path("t10k-images.idx3-ubyte.gz"));
  const Dataset packed = load_dataset(config(), 1);
  EXPECT_EQ(packed.images, plain.images);
  EXPECT_EQ(packed.labels, plain.labels);
}

TEST_F(Idx, BesideAValidationFractionTheTestFilesAreTheTestPart) {
  EXPECT_TRUE(load_dataset(config(), 1).validation_is_test);
  EXPECT_TRUE(load_dataset(config(), 1).test.empty());
  DataConfig fraction = config();
  fraction.validation_fraction = 0.34;
  const Dataset data = load_dataset(fraction, 1);
  EXPECT_FALSE(data.validation_is_test);
  EXPECT_EQ(data.train.size() + data.validation.size(), 3u);
  EXPECT_EQ(data.test, (std::vector<std::int32_t>{3, 4}));
}

TEST_F(Idx, AValidationFractionWithoutATestPartNeedsNoTestFiles) {
  folder.remove("t10k-images-idx3-ubyte");
  folder.remove("t10k-labels-idx1-ubyte");
  DataConfig fraction = config();
  fraction.validation_fraction = 0.34;
  expect_contains(message_of_loading(fraction), {"t10k-images-idx3-ubyte"});
  fraction.test = DataConfig::Test::none;
  const Dataset data = load_dataset(fraction, 1);
  EXPECT_EQ(data.train.size(), 2u);
  EXPECT_EQ(data.validation.size(), 1u);
  EXPECT_TRUE(data.test.empty());
  expect_contains(message(), {"t10k-images-idx3-ubyte", folder.path().string()});
}

TEST_F(Idx, AMissingFolderSaysWhatItShouldHold) {
  const std::string text = message_of_loading(data_config(Source::fashion_mnist, folder.path() / "nowhere"));
  expect_contains(text,
                  {"data.path", path("nowhere"), "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", ".gz"});
  expect_contains(message_of_loading(data_config(Source::mnist, path("train-images-idx3-ubyte"))),
                  {"not a folder"});
}

TEST_F(Idx, AnEmptyFolderSaysWhatItShouldHold) {
  const TemporaryFolder empty;
  expect_contains(message_of_loading(data_config(Source::mnist, empty.path())),
                  {empty.path().string(), "no train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"});
}

TEST_F(Idx, NoPathIsAnErrorOfUsage) {
  DataConfig config;
  config.source = Source::mnist;
  expect_contains(message_of([&] { load_dataset(config, 1); }, ExitCode::usage), {"data.path"});
}

TEST_F(Idx, TruncatedPixels) {
  Bytes bytes = images(3);
  bytes.erase(bytes.end() - 5, bytes.end());
  folder.write("train-images-idx3-ubyte", bytes);
  expect_contains(message(), {path("train-images-idx3-ubyte"), "byte 29", "pixels", "5 bytes are missing"});
}

// More than is read at a time: what is missing is counted to the end all the same.
TEST_F(Idx, TruncatedPixelsOfAFileInPieces) {
  Bytes bytes = idx_images(3, 600, 1000, 0);
  bytes.resize(16 + 300'000);
  folder.write("train-images-idx3-ubyte", bytes);
  expect_contains(message(), {path("train-images-idx3-ubyte"), "byte 300016", "1500000 bytes are missing"});
}

TEST_F(Idx, TruncatedHeader) {
  Bytes bytes = idx_labels({1, 2});
  bytes.erase(bytes.begin() + 6, bytes.end());
  folder.write("t10k-labels-idx1-ubyte", bytes);
  expect_contains(message(), {path("t10k-labels-idx1-ubyte"), "byte 6", "header"});
  folder.write("t10k-labels-idx1-ubyte", {});
  expect_contains(message(), {path("t10k-labels-idx1-ubyte"), "byte 0", "magic"});
}

TEST_F(Idx, TrailingBytes) {
  Bytes bytes = idx_labels({9, 0, 4});
  bytes.push_back(0);
  folder.write("train-labels-idx1-ubyte", bytes);
  expect_contains(message(), {path("train-labels-idx1-ubyte"), "after byte 11"});
}

TEST_F(Idx, WrongMagic) {
  folder.write("train-images-idx3-ubyte",
               folder.read("train-labels-idx1-ubyte"));  // the wrong one of the four
  expect_contains(message(), {path("train-images-idx3-ubyte"), "byte 0", "0x00000801", "0x00000803"});
}

TEST_F(Idx, CountsOfImagesAndLabelsDiffer) {
  folder.write("train-labels-idx1-ubyte", idx_labels({9, 0, 4, 5}));
  expect_contains(message(),
                  {path("train-labels-idx1-ubyte"), "4 labels", path("train-images-idx3-ubyte"), "3 images"});
}

TEST_F(Idx, LabelOutOfRange) {
  folder.write("t10k-labels-idx1-ubyte", idx_labels({1, 10}));
  expect_contains(message(), {path("t10k-labels-idx1-ubyte"), "byte 9", "label 10", "image 1"});
}

TEST_F(Idx, TestImagesOfAnotherSize) {
  Bytes bytes = images(2);
  std::swap(bytes[11], bytes[15]);  // height and width
  folder.write("t10k-images-idx3-ubyte", bytes);
  expect_contains(message(), {path("t10k-images-idx3-ubyte"), "byte 8", "2x3", "3x2"});
}

TEST_F(Idx, AbsurdDimensionsAreRefusedBeforeMemoryIsAsked) {
  Bytes bytes = images(3);
  for (std::size_t i = 8; i < 16; ++i) bytes[i] = i % 4 == 0 ? 0x7f : 0xff;
  folder.write("train-images-idx3-ubyte", bytes);
  expect_contains(message(), {path("train-images-idx3-ubyte"), "byte 4", "cannot hold"});
  for (std::size_t i = 8; i < 12; ++i) bytes[i] = 0;
  folder.write("train-images-idx3-ubyte", bytes);
  expect_contains(message(), {path("train-images-idx3-ubyte"), "byte 8", "dimension of 0"});
}

TEST_F(Idx, ForeignGzip) {
  folder.remove("train-images-idx3-ubyte");
  folder.write_gzipped("train-images-idx3-ubyte.gz", Bytes{'h', 'e', 'l', 'l', 'o'});
  expect_contains(message(), {path("train-images-idx3-ubyte.gz"), "byte 0", "0x68656c6c"});
}

TEST_F(Idx, TruncatedGzip) {
  const std::string name = "train-images-idx3-ubyte.gz";
  folder.remove("train-images-idx3-ubyte");
  folder.write_gzipped(name, images(3));
  const Bytes whole = folder.read(name);
  for (const std::size_t missing : {1u, 8u, 15u}) {  // in the length, at the checksum, in the data
    folder.write(name, Bytes(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(missing)));
    expect_contains(message(), {path(name), "byte ", "truncated"});
  }
}

TEST_F(Idx, DamagedGzip) {
  const std::string name = "train-images-idx3-ubyte.gz";
  folder.remove("train-images-idx3-ubyte");
  folder.write_gzipped(name, images(3));
  Bytes bytes = folder.read(name);
  bytes[bytes.size() - 8] ^= 1;  // the checksum
  folder.write(name, bytes);
  expect_contains(message(), {path(name), "after byte", "data check", "damaged"});
}

TEST(Mnist, RealFiles) {
  const std::filesystem::path folder = CONVOY_SOURCE_DIR "/../shared/data/mnist";
  if (!std::filesystem::is_directory(folder))
    GTEST_SKIP() << "the MNIST files are not at " << folder.string();
  const Dataset data = load_dataset(data_config(Source::mnist, folder), 1);
  EXPECT_EQ(data.train.size(), 60000u);
  EXPECT_EQ(data.validation.size(), 10000u);
  EXPECT_EQ(data.image, (FeatureShape{1, 28, 28, 1}));
  const std::vector<std::int32_t> first(data.labels.begin(), data.labels.begin() + 4);
  EXPECT_EQ(first, (std::vector<std::int32_t>{5, 0, 4, 1}));
  double sum = 0;
  for (std::size_t i = 0; i < 60000u * 784; ++i) sum += data.images[i];
  EXPECT_NEAR(sum / (60000.0 * 784 * 255), 0.1307, 5e-5);
}

}  // namespace
}  // namespace convoy::testing
