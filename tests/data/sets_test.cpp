// Every data set of the list: what it says of itself, and that its files are recognised and read as that.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "src/config/config.h"
#include "src/data/data_source.h"
#include "src/data/packed.h"
#include "src/data/recognise.h"
#include "tests/data/picture_folder.h"
#include "tests/io/npy_writer.h"
#include "tests/io/zip_writer.h"
#include "tests/source_dir.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

/// A configuration for a source that needs no files before data is loaded.
DataConfig without_files(Source source) {
  DataConfig config = data_config(source, has_files(source) ? "somewhere" : "");
  config.synthetic = {{3, 4, 5}, 7, 40, 20};
  return config;
}

bool is_loaded(Source source) {
  return facts_of(source).kind == SourceKind::loaded;
}
bool is_archive(Source source) {
  return facts_of(source).kind == SourceKind::archive;
}

/// Volumes (2,3,4) of two classes: eight to train on, four to validate on, two for a test.
void write_archive(const fs::path& path) {
  ZipWriter archive;
  for (const auto& [part, count] : {std::pair{"train", 8}, std::pair{"val", 4}, std::pair{"test", 2}}) {
    const std::string shape = fmt::format("({}, 2, 3, 4)", count),
                      labels(static_cast<std::size_t>(count), '\0');
    std::string alternating = labels;
    for (std::size_t i = 1; i < labels.size(); i += 2) alternating[i] = 1;
    archive.add(std::string(part) + "_images.npy",
                npy_file(npy_header("|u1", shape), std::string(labels.size() * 24, 'x')));
    archive.add(std::string(part) + "_labels.npy",
                npy_file(npy_header("|u1", fmt::format("({}, 1)", count)), alternating));
  }
  std::ofstream(path, std::ios::binary) << archive.finish();
}

/// What is known beforehand is what reading finds, in each way to validate.
void expect_foreseen(DataConfig config) {
  for (const double fraction : {0.0, 0.25}) {
    for (const auto test : {DataConfig::Test::automatic, DataConfig::Test::none}) {
      config.validation_fraction = fraction;
      config.test = test;
      const SourceInfo info = source_info(config);
      const Dataset data = load_dataset(config, 1);
      EXPECT_EQ(data.image, info.image);
      EXPECT_EQ(data.classes, info.classes);
      const auto split = static_cast<std::int64_t>(fraction > 0 ? data.validation.size() : 0);
      EXPECT_EQ(std::ssize(data.train) + split, info.train);
      EXPECT_EQ(std::ssize(data.validation) - split, info.validation);
      EXPECT_EQ(std::ssize(data.test), info.test);
      EXPECT_EQ(data.source != nullptr, is_streamed(config.source));
      if (!data.class_names.empty()) {
        EXPECT_EQ(std::ssize(data.class_names), data.classes);
      }
      for (const std::int32_t label : data.labels) ASSERT_TRUE(label >= 0 && label < data.classes);
    }
  }
}

class EveryDataSet : public ::testing::TestWithParam<SourceFacts> {
 protected:
  const Source source = GetParam().source;
  const DataSource& set = data_source(source);
};

TEST_P(EveryDataSet, IsTheOneOfItsName) {
  EXPECT_EQ(set.source(), source);
  EXPECT_EQ(std::string(set.name()), GetParam().name);
  const Config config = parse_config(
      fmt::format(
          "data: {{source: {}, path: x}}\nmodel: {{input: [3, 8, 8], layers: [flatten, linear: 10]}}\n"
          "train: {{global_batch: 4}}\n",
          GetParam().name),
      "a.yaml", {});
  EXPECT_EQ(config.data.source, source);
  EXPECT_NE(schema_help().find(GetParam().name), std::string::npos);
}

TEST_P(EveryDataSet, IsDrawnOrReadAsTheListSays) {
  const std::string drawn = set.drawn_from(without_files(source), 1);
  EXPECT_EQ(drawn.empty(), has_files(source));
  if (!drawn.empty()) {
    EXPECT_NE(drawn, set.drawn_from(without_files(source), 2)) << "of another seed";
  }
  EXPECT_EQ(dynamic_cast<const ResidentSource*>(&set) == nullptr, is_streamed(source) || is_archive(source));
}

TEST_P(EveryDataSet, NamesEachOfItsClassesOnce) {
  const std::vector<std::string> names = set.class_names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  if (is_streamed(source)) {
    EXPECT_TRUE(names.empty()) << "the files name them";
  } else if (!names.empty()) {
    EXPECT_EQ(std::ssize(names), set.info(without_files(source)).classes);
  }
}

TEST_P(EveryDataSet, IsPublishedWithWholeSums) {
  const Published published = set.published();
  EXPECT_EQ(published.folders.empty(), published.files.empty());
  EXPECT_TRUE(published.files.empty() || is_loaded(source));
  for (const std::string& folder : published.folders) EXPECT_TRUE(folder.starts_with("http")) << folder;
  std::set<std::string> names, sums;
  for (const PublishedFile& file : published.files) {
    EXPECT_EQ(file.sha256.size(), 64u) << file.name;
    EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string::npos) << file.name;
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    EXPECT_TRUE(sums.insert(file.sha256).second) << file.name;
  }
}

TEST_P(EveryDataSet, IsRecognisedByItsFiles) {
  const PictureFolder pictures(2, 3, 1);
  const TemporaryFolder top;
  fs::path path = top.path() / GetParam().name;
  if (!has_files(source)) {
    fs::create_directory(path);
    EXPECT_EQ(set.match(path), Match::no);
    return;
  }
  if (is_loaded(source)) {
    fs::create_directory(path);
    for (const PublishedFile& file : set.published().files) {
      const std::vector<std::string> itself{file.name};
      for (const std::string& name : file.unpacked.empty() ? itself : file.unpacked)
        std::ofstream(path / name) << "x";
    }
    EXPECT_EQ(recognise_data(top.path()).path, path.string()) << "in a folder above";
  } else if (has_pictures(source)) {
    path = pictures.path();
  } else if (is_archive(source)) {
    path += ".npz";
    write_archive(path);
  } else {
    pack_folder(pictures.path(), path, {16, 0, 1, {}});
  }
  EXPECT_TRUE(is_data(path));
  const DataConfig found = recognise_data(path);
  EXPECT_EQ(found.source, source) << facts_of(found.source).name;
  EXPECT_EQ(found.path, path.string());
  EXPECT_EQ(found.validation_fraction, 0) << "its files are set apart";
}

TEST_P(EveryDataSet, DoesNotTakeAnEmptyFolderForItsOwn) {
  const TemporaryFolder empty;
  EXPECT_EQ(set.match(empty.path()), has_pictures(source) ? Match::possible : Match::no);
}

TEST_P(EveryDataSet, HasTheSizesThatItsReaderFinds) {
  const PictureFolder pictures(2, 8, 2);
  pictures.add("test/class0/t.jpg", 0, 3);
  pictures.add("test/class1/t.jpg", 1, 3);
  DataConfig config = without_files(source);
  config.input = {3, 16, 16};
  if (is_loaded(source)) {
    const fs::path folder = fs::path(CONVOY_SOURCE_DIR) / "../shared/data" / GetParam().name;
    if (!fs::is_directory(folder)) GTEST_SKIP() << "its files are not at " << folder.string();
    config.path = folder.string();
  } else if (has_pictures(source)) {
    config.path = pictures.path().string();
  } else if (is_archive(source)) {
    config.path = (pictures.path() / "all.npz").string();
    write_archive(config.path);
  } else if (path_is_file(source)) {
    config.path = (pictures.path() / "all.packed").string();
    pack_folder(pictures.path(), config.path, {16, 0, 1, {}});
  }
  expect_foreseen(config);
}

INSTANTIATE_TEST_SUITE_P(List, EveryDataSet, ::testing::ValuesIn(source_list), [](const auto& instance) {
  std::string name = instance.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(DataSets, LookAlikesAreToldApartByTheirFolder) {
  const TemporaryFolder top;
  const auto recognised_in = [&](const char* folder) {
    const fs::path path = top.path() / folder;
    fs::create_directories(path);
    std::ofstream(path / "train-images.idx3-ubyte") << "x";
    return recognise_data(path).source;
  };
  EXPECT_EQ(recognised_in("digits/raw"), Source::mnist);
  EXPECT_EQ(recognised_in("My-Fashion/raw"), Source::fashion_mnist);
}

TEST(DataSets, WhatCannotBeReadIsSaid) {
  const TemporaryFolder folder;
  folder.write("data_batch_1", {1});
  expect_contains(message_of([&] { recognise_data(folder.path()); }),
                  {"the Python version of CIFAR-10", "convoy data fetch cifar10"});
  folder.write("a.txt", {1});
  EXPECT_FALSE(is_data(folder.path() / "a.txt"));
}

}  // namespace
}  // namespace convoy::testing
