// Folders of pictures as a data set.
#include "src/data/folder.h"

#include <cmath>
#include <numeric>
#include <set>

#include "src/data/crops.h"
#include "src/data/epoch_order.h"
#include "src/data/prefetch.h"
#include "tests/data/picture_folder.h"

namespace convoy::testing {
namespace {

DataConfig randomly_cropped(DataConfig config) {
  config.resized_crop.min_scale = 0.08f;
  config.resized_crop.max_scale = 1;
  return config;
}

TEST(Folder, ClassesAndPicturesByName) {
  const PictureFolder folder(3, 4, 2);
  const Dataset data = load_dataset(folder.config(), 1);
  EXPECT_EQ(data.classes, 3);
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"class0", "class1", "class2"}));
  EXPECT_EQ(data.image, (FeatureShape{1, 24, 20, 3}));
  EXPECT_EQ(data.labels, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(data.train.size(), 12u);
  EXPECT_EQ(data.validation, (std::vector<std::int32_t>{12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(data.source->name_of(14), (folder.path() / "val/class1/000.jpg").string());
  EXPECT_EQ(data.warning, "");
  EXPECT_TRUE(data.images.empty());
}

TEST(Folder, OnlyPicturesCount) {
  const PictureFolder folder(2, 2, 1);
  folder.put("train/class0/.hidden.jpg", {1});
  folder.put("train/.cache/a.jpg", {1});
  folder.put("train/class1/B.JPEG", encode_jpeg(make_picture(30, 30)));
  folder.put("train/class1/note.txt", {1});
  folder.put("val/readme.md", {1});
  const Dataset data = load_dataset(folder.config(), 1);
  EXPECT_EQ(data.train.size(), 5u);
  EXPECT_EQ(data.source->name_of(2), (folder.path() / "train/class1/000.jpg").string());
  EXPECT_EQ(data.source->name_of(4), (folder.path() / "train/class1/B.JPEG").string());
  expect_contains(data.warning, {"note.txt and 1 more: left out", "1 .md, 1 .txt"});
}

TEST(Folder, AFractionIsSplitOffTheTrainingPictures) {
  const PictureFolder folder(2, 10, 0);  // no val/
  DataConfig config = folder.config();
  config.validation_fraction = 0.25;
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(data.train.size(), 15u);
  EXPECT_EQ(data.validation.size(), 5u);
  EXPECT_EQ(load_dataset(config, 1).validation, data.validation);
}

TEST(Folder, EachClassGivesItsShareForValidation) {
  const PictureFolder folder(0, 0, 0);
  const std::vector<int> sizes{40, 13, 5, 1, 1};
  for (int kind = 0; kind < 5; ++kind)
    for (int i = 0; i < sizes[static_cast<std::size_t>(kind)]; ++i)
      folder.put(fmt::format("class{}/{:03}.jpg", kind, i), {1});
  DataConfig config = folder.config();
  config.validation_fraction = 0.3;
  std::set<std::vector<std::int32_t>> drawn;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Dataset data = load_dataset(config, seed);
    std::vector<std::int64_t> counts(5);
    for (const std::int32_t id : data.validation) ++counts[static_cast<std::size_t>(data.labels[id])];
    EXPECT_EQ(counts, (std::vector<std::int64_t>{12, 4, 2, 0, 0})) << "of 18 in all";
    EXPECT_EQ(data.train.size(), 42u);
    EXPECT_TRUE(std::is_sorted(data.validation.begin(), data.validation.end()));
    drawn.insert(data.validation);
  }
  EXPECT_EQ(drawn.size(), 3u) << "which ones, the seed decides";
}

TEST(Folder, AFlatFolderIsSplitBySeed) {
  const PictureFolder folder(0, 0, 0);
  for (int kind = 0; kind < 2; ++kind)
    for (int i = 0; i < 10; ++i) folder.add(fmt::format("class{}/{:03}.jpg", kind, i), kind, i);
  DataConfig config = folder.config();
  EXPECT_TRUE(folder_layout(config.path).flat);
  expect_contains(message_of_loading(config, ExitCode::usage),
                  {"data.validation", "its folders are classes", "data.validation: 0.1"});
  config.validation_fraction = 0.2;
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"class0", "class1"}));
  EXPECT_EQ(data.train.size(), 16u);
  EXPECT_EQ(data.validation.size(), 4u);
  EXPECT_FALSE(data.validation_is_test);
  EXPECT_EQ(data.source->name_of(11), (folder.path() / "class1/001.jpg").string());
  EXPECT_EQ(load_dataset(config, 1).validation, data.validation);
  EXPECT_NE(load_dataset(config, 2).validation, data.validation);
}

TEST(Folder, ValidationFoldersHaveSeveralNames) {
  for (const char* name : {"valid", "validation"}) {
    const PictureFolder folder(2, 3, 2);
    std::filesystem::rename(folder.path() / "val", folder.path() / name);
    EXPECT_EQ(load_dataset(folder.config(), 1).validation.size(), 4u) << name;
    folder.add("val/class0/1.jpg", 0, 0);
    expect_contains(message_of_loading(folder.config()), {std::string("has val/ and ") + name});
  }
}

TEST(Folder, ATestFolderIsAPartOfItsOwn) {
  const PictureFolder folder(2, 5, 2);
  for (int kind = 0; kind < 2; ++kind) folder.add(fmt::format("test/class{}/9.jpg", kind), kind, 3);
  DataConfig config = folder.config();
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(data.validation.size(), 4u);
  EXPECT_EQ(data.test, (std::vector<std::int32_t>{14, 15}));
  EXPECT_FALSE(data.validation_is_test);
  EXPECT_EQ(data.source->file_of(15).value(), folder.path() / "test/class1/9.jpg");
  config.test = DataConfig::Test::none;
  EXPECT_TRUE(load_dataset(config, 1).test.empty());
  config.test = DataConfig::Test::automatic;
  config.validation_fraction = 0.2;
  const Dataset split = load_dataset(config, 1);
  EXPECT_EQ(split.train.size(), 8u);
  EXPECT_EQ(split.validation.size(), 2u) << "of train/; val/ is not read";
  EXPECT_EQ(split.test, (std::vector<std::int32_t>{10, 11}));
  config.validation_fraction = 0;
  std::filesystem::remove_all(folder.path() / "val");
  const Dataset tested = load_dataset(config, 1);
  EXPECT_TRUE(tested.validation_is_test);
  EXPECT_EQ(tested.validation, (std::vector<std::int32_t>{10, 11}));
  EXPECT_TRUE(tested.test.empty());
}

TEST(Folder, ATestFolderWithoutClassesIsLeftOut) {
  const PictureFolder folder(2, 3, 1);
  folder.put("test/1.jpg", {1});
  const Dataset data = load_dataset(folder.config(), 1);
  EXPECT_TRUE(data.test.empty());
  expect_contains(data.warning, {"test/1.jpg: left out"});
}

TEST(Folder, EveryFormatIsReadWhateverItsNameSays) {
  const PictureFolder folder(1, 1, 1);
  folder.put("train/class0/a.webp", encode_jpeg(make_picture(30, 30)));
  folder.put("train/class0/b.TIFF", encode_jpeg(make_picture(30, 30)));
  folder.put("train/class0/c.bmp", encode_jpeg(make_picture(30, 30)));
  folder.put("train/class0/d.heic", {1});
  const Dataset data = load_dataset(folder.config(), 1);
  EXPECT_EQ(data.train.size(), 4u);
  EXPECT_EQ(image_of(data, 1, {}), image_of(data, 3, {}));
  expect_contains(data.warning, {"d.heic: left out", "1 .heic"});
}

TEST(Folder, ValidationShowsTheMiddleOfTheResizedPicture) {
  const PictureFolder folder(1, 1, 1);
  DataConfig config = folder.config();
  config.resize = 30;
  const Dataset data = load_dataset(config, 1);
  const Image picture = read_image(folder.path() / "val/class0/000.jpg");
  const Box box = centre_box(picture.size(), 30, {24, 20});
  EXPECT_EQ(image_of(data, 1, {false, 0}), resized(picture, box, {24, 20}).pixels);
  EXPECT_EQ(image_of(data, 1, {false, 3}), image_of(data, 1, {true, 5})) << "no random crop was asked for";
}

TEST(Folder, DefaultResizeIsThatOf256To224) {
  DataConfig config;
  config.input = {3, 224, 200};
  EXPECT_EQ(shorter_side(config), 256);
  config.input = {3, 32, 32};
  EXPECT_EQ(shorter_side(config), 37);
}

TEST(Folder, RandomPartsAreOfTheScaleAndRatioAsked) {
  DataConfig config = randomly_cropped({});
  config.input = {3, 24, 20};
  config.resized_crop.min_scale = 0.2f;
  config.resized_crop.max_scale = 0.6f;
  const Cropper cropper(config, 7);
  const ImageSize picture{300, 400};
  std::set<double> tops;
  double shares = 0;
  for (std::int32_t sample = 0; sample < 500; ++sample) {
    const Box box = cropper.box(picture, sample, {true, 2});
    EXPECT_EQ(box, cropper.box(picture, sample, {true, 2}));
    EXPECT_TRUE(box.isolated);
    EXPECT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= 300 && box.left + box.width <= 400);
    const double share = box.height * box.width / (300.0 * 400);
    EXPECT_TRUE(share > 0.19 && share < 0.61) << share;
    EXPECT_TRUE(box.width / box.height > 0.74 && box.width / box.height < 1.35);
    shares += share;
    tops.insert(box.top);
  }
  EXPECT_NEAR(shares / 500, 0.4, 0.03);
  EXPECT_GT(tops.size(), 100u);
  EXPECT_NE(cropper.box(picture, 3, {true, 2}), cropper.box(picture, 3, {true, 3}));
  EXPECT_NE(cropper.box(picture, 3, {true, 2}), Cropper(config, 8).box(picture, 3, {true, 2}));
}

TEST(Folder, RandomPartsAreAsMuchWiderAsAsked) {
  DataConfig config = randomly_cropped({});
  config.input = {3, 24, 20};
  config.resized_crop = {0.1f, 0.2f, 1, 4};
  const Cropper cropper(config, 7);
  double logarithms = 0;
  for (std::int32_t sample = 0; sample < 500; ++sample) {
    const Box box = cropper.box({400, 400}, sample, {true, 1});
    EXPECT_TRUE(box.width / box.height > 0.98 && box.width / box.height < 4.05) << box.width / box.height;
    logarithms += std::log(box.width / box.height);
  }
  EXPECT_NEAR(logarithms / 500, std::log(2), 0.06) << "as often twice as wide as half of that";
}

TEST(Folder, RandomPartsLieAnywhere) {
  DataConfig config = randomly_cropped({});
  config.input = {3, 4, 4};
  config.resized_crop.min_scale = config.resized_crop.max_scale = 0.5f;
  const Cropper cropper(config, 7);
  std::set<double> rows, columns;
  for (std::int32_t sample = 0; sample < 200; ++sample) {
    const Box box = cropper.box({9, 12}, sample, {true, 1});
    if (box.height == 6) rows.insert(box.top);
    if (box.width == 8) columns.insert(box.left);
  }
  EXPECT_EQ(rows, (std::set<double>{0, 1, 2, 3}));
  EXPECT_EQ(columns, (std::set<double>{0, 1, 2, 3, 4}));
}

TEST(Folder, ValidationIsNotCutAtRandom) {
  DataConfig config = randomly_cropped({});
  config.input = {3, 24, 20};
  config.resize = 30;
  const Cropper cropper(config, 7);
  for (const std::int32_t sample : {0, 1})
    EXPECT_EQ(cropper.box({90, 70}, sample, {false, 2}), centre_box({90, 70}, 30, {24, 20}));
}

TEST(Folder, NarrowPicturesGiveTheLargestPartOfTheirMiddle) {
  DataConfig config = randomly_cropped({});
  config.input = {3, 8, 8};
  config.resized_crop.min_scale = config.resized_crop.max_scale = 1;
  const Cropper cropper(config, 1);
  EXPECT_EQ(cropper.box({30, 3000}, 0, {true, 1}), (Box{0, 1480, 30, 40, true}));
  EXPECT_EQ(cropper.box({3000, 30}, 0, {true, 1}), (Box{1480, 0, 40, 30, true}));
  EXPECT_EQ(cropper.box({1, 1}, 0, {true, 1}), (Box{0, 0, 1, 1, true}));
}

TEST(Folder, GrayNetworksAreShownLuma) {
  const PictureFolder folder(1, 1, 1);
  const Dataset colour = load_dataset(folder.config(), 1);
  DataConfig config = folder.config();
  config.input[0] = 1;
  const Dataset gray = load_dataset(config, 1);
  Bytes expected(24 * 20);
  to_gray(image_of(colour, 0, {}).data(), 24 * 20, expected.data());
  EXPECT_EQ(image_of(gray, 0, {}), expected);
}

/// The bytes of an epoch's batches as `ranks` ranks with some threads each stage them, in the batches' order.
Bytes staged(const DataConfig& config, int ranks, int threads, int epoch) {
  constexpr int batch_size = 7;
  std::vector<Bytes> batches(4);
  for (int rank = 0; rank < ranks; ++rank) {
    const Dataset data = load_dataset(config, 1);
    const std::vector<std::int32_t> order = epoch_order(data.train, 1, epoch);
    std::vector<std::vector<std::int32_t>> shards;
    for (const Range& batch : batches_of(static_cast<int>(order.size()), batch_size, false)) {
      const Shard shard = shard_of(batch.count, rank, ranks);
      const auto begin = order.begin() + batch.first + shard.first;
      shards.emplace_back(begin, begin + shard.count);
    }
    const auto bytes = static_cast<std::size_t>(data.image.count());
    std::vector<Bytes> memory(3, Bytes(batch_size * bytes));
    Prefetcher prefetcher(data, {memory[0].data(), memory[1].data(), memory[2].data()}, threads);
    prefetcher.start(shards, {true, epoch});
    for (std::size_t b = 0; b < shards.size(); ++b) {
      const auto& slot = memory[static_cast<std::size_t>(prefetcher.acquire())];
      batches[b].insert(batches[b].end(), slot.begin(),
                        slot.begin() + std::ssize(shards[b]) * std::ssize(slot) / batch_size);
      prefetcher.release();
    }
  }
  Bytes all;
  for (const Bytes& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

TEST(Folder, EveryRankAndThreadCountStagesTheSameBytes) {
  const PictureFolder folder(2, 13, 1);
  folder.put("train/class1/005.jpg", {0xFF, 0xD8, 0xFF, 1});  // and what replaces a broken picture
  DataConfig config = randomly_cropped(folder.config());
  config.max_bad = 1;
  const Bytes alone = staged(config, 1, 1, 1);
  EXPECT_EQ(alone.size(), 26u * 24 * 20 * 3);
  EXPECT_NE(alone, staged(config, 1, 1, 2));
  for (const int ranks : {1, 2, 4})
    for (const int threads : {1, 3}) EXPECT_EQ(staged(config, ranks, threads, 1), alone) << ranks << " ranks";
}

TEST(Folder, ABrokenPictureEndsTheRunUnlessItMayBeReplaced) {
  const PictureFolder folder(2, 3, 1);
  folder.put("train/class1/001.jpg", {'n', 'o'});
  DataConfig config = folder.config();
  {
    const Dataset data = load_dataset(config, 1);
    expect_contains(
        message_of([&] {
          image_of(data, 4, {true, 1});
        }),
        {"train/class1/001.jpg: not a JPEG, PNG, WebP, BMP or TIFF file", "data.max_bad allows 0"});
  }
  config.max_bad = 1;
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(image_of(data, 4, {false, 0}), image_of(data, 5, {false, 0})) << "the next of its class";
  EXPECT_EQ(data.source->replaced(), (std::vector<std::int32_t>{4}));
  image_of(data, 4, {false, 0});
  EXPECT_EQ(data.source->replaced().size(), 1u) << "counted once";
  folder.put("train/class0/000.jpg", {});
  expect_contains(message_of([&] {
                    image_of(data, 0, {true, 1});
                  }),
                  {"class0/000.jpg: the file is empty", "2 broken pictures; data.max_bad allows 1"});
}

TEST(Folder, ReplacementsAreOfTheSameClassAndPurpose) {
  const PictureFolder folder(2, 3, 2);
  folder.put("train/class0/002.jpg", {'n', 'o'});
  folder.put("val/class0/001.jpg", {'n', 'o'});
  DataConfig config = folder.config();
  config.max_bad = 10;
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(image_of(data, 2, {}), image_of(data, 0, {}));
  EXPECT_EQ(image_of(data, 7, {}), image_of(data, 6, {}));
  folder.put("val/class0/000.jpg", {'n', 'o'});
  expect_contains(message_of([&] { image_of(data, 6, {}); }), {"not one picture of the class class0"});
}

TEST(Folder, RanksThatListOtherPicturesAreTold) {
  const PictureFolder one(2, 2, 1), two(2, 2, 1);
  const auto fingerprint = [](const PictureFolder& folder) {
    return load_dataset(folder.config(), 1).source->fingerprint();
  };
  EXPECT_EQ(fingerprint(one), fingerprint(two)) << "wherever the folder lies";
  std::filesystem::rename(two.path() / "train/class1/001.jpg", two.path() / "train/class1/002.jpg");
  EXPECT_NE(fingerprint(one), fingerprint(two));
}

TEST(Folder, NamesWhatIsWrongWithTheFolders) {
  const PictureFolder folder(2, 1, 1);
  const DataConfig config = folder.config();
  std::filesystem::create_directory(folder.path() / "train/void");
  expect_contains(message_of_loading(config), {"train/void: the folder of a class without a .jpg"});
  std::filesystem::remove(folder.path() / "train/void");
  folder.add("val/dogs/1.jpg", 0, 0);
  expect_contains(message_of_loading(config), {"train and val have different classes; only in val: dogs"});
  folder.add("train/cats/1.jpg", 0, 0);
  expect_contains(message_of_loading(config),
                  {"train and val have different classes; only in train: cats; only in val: dogs"});
  std::filesystem::remove_all(folder.path() / "train");
  expect_contains(message_of_loading(config), {"has val/ but no train/"});
  std::filesystem::create_directory(folder.path() / "train");
  expect_contains(message_of_loading(config), {"train: no folders of classes"});
  std::filesystem::remove_all(folder.path() / "val");
  expect_contains(message_of_loading(config, ExitCode::usage), {"neither val/ nor test/ beside train/"});
  DataConfig elsewhere = config;
  elsewhere.path = (folder.path() / "nowhere").string();
  expect_contains(message_of_loading(elsewhere), {"nowhere is not a folder", "train/CLASS/*"});
}

}  // namespace
}  // namespace convoy::testing
