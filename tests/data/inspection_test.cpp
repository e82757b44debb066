// A look at a folder's pictures.
#include "src/data/inspection.h"

#include <set>

#include "tests/data/picture_folder.h"

namespace convoy::testing {
namespace {

TEST(Inspection, SamplesAreSpreadOverClassesAndParts) {
  Dataset data;
  data.classes = 2;
  for (int i = 0; i < 1000; ++i) {
    data.labels.push_back(i < 10 ? 0 : 1);
    (i % 2 == 0 ? data.train : data.validation).push_back(i);
  }
  const std::vector<std::int32_t> samples = sample_evenly(data, 40);
  EXPECT_EQ(samples.size(), 10u + 20) << "all of the small class";
  EXPECT_EQ(std::set<std::int32_t>(samples.begin(), samples.end()).size(), samples.size());
  int validation = 0;
  for (const std::int32_t sample : samples) validation += sample >= 10 && sample % 2 == 1;
  EXPECT_EQ(validation, 10);
  const std::vector<std::int32_t> one = sample_evenly(data, 1);
  EXPECT_EQ(one.size(), 1u);
  EXPECT_TRUE(sample_evenly(data, 0).empty());
}

TEST(Inspection, AllOfFewAndASampleOfMany) {
  Dataset data;
  data.classes = 1;
  for (int i = 0; i < 512; ++i) {
    data.labels.push_back(0);
    data.train.push_back(i);
  }
  const std::vector<std::int32_t> all = samples_to_inspect(data);
  EXPECT_EQ(std::set<std::int32_t>(all.begin(), all.end()).size(), 512u);
  data.labels.push_back(0);
  data.train.push_back(512);
  EXPECT_EQ(samples_to_inspect(data).size(), 200u);
}

TEST(Inspection, NamesBrokenPicturesAndCountsTheRest) {
  const PictureFolder folder(2, 3, 1);
  folder.put("train/class0/001.jpg", {0xFF, 0xD8, 0xFF, 1});
  folder.put("val/class1/000.jpg", {'G', 'I', 'F', '8'});
  const Dataset data = load_dataset(folder.config(), 1);
  const std::vector<std::int32_t> samples = sample_evenly(data, 100);
  ASSERT_EQ(samples.size(), 8u);
  for (const int threads : {1, 3}) {
    const PictureReport report = inspect_pictures(data, samples, threads, 0);
    EXPECT_EQ(report.looked_at(), 8);
    ASSERT_EQ(report.problems.size(), 2u);
    expect_contains(report.problems[0], {"train/class0/001.jpg: a damaged JPEG file"});
    expect_contains(report.problems[1], {"val/class1/000.jpg: a GIF file"});
    EXPECT_EQ(report.formats[static_cast<std::size_t>(ImageFormat::jpeg)], 6);
    EXPECT_EQ(report.sizes[0], (ImageSize{40, 60}));
  }
}

TEST(Inspection, MeanAndDeviationOfChannels) {
  const PictureFolder folder(1, 0, 0);
  for (const auto& [name, level] : {std::pair("train/a/1.jpg", 0), std::pair("train/a/2.jpg", 255)}) {
    Image plain{16, 16, {}};
    plain.pixels.assign(16 * 16 * 3, static_cast<std::uint8_t>(level));
    folder.put(name, encode_jpeg(plain));
  }
  DataConfig config = folder.config();
  config.validation_fraction = 0.5;
  const Dataset data = load_dataset(config, 1);
  const PictureReport report = inspect_pictures(data, sample_evenly(data, 10), 2, 0);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(report.mean[c], 0.5, 0.01);
    EXPECT_NEAR(report.std[c], 0.5, 0.01);
  }
}

}  // namespace
}  // namespace convoy::testing
