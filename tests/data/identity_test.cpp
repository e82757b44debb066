// What tells one data set from another.
#include "src/data/identity.h"

#include "src/data/class_names.h"
#include "src/data/packed.h"
#include "tests/data/picture_folder.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

DataIdentity identity_of(const DataConfig& config, std::uint64_t seed = 1) {
  return identify(load_dataset(config, seed), config, seed).get();
}

/// Four training images and two for the test.
void write_idx(const TemporaryFolder& folder, int from, const Bytes& labels) {
  folder.write("train-images-idx3-ubyte", idx_images(4, 28, 28, from));
  folder.write("train-labels-idx1-ubyte", idx_labels(labels));
  folder.write("t10k-images-idx3-ubyte", idx_images(2, 28, 28, 7));
  folder.write("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
}

TEST(Identity, IdxFilesAreHashedWhole) {
  const TemporaryFolder folder, other;
  write_idx(folder, 0, {0, 1, 2, 3});
  const DataConfig config = data_config(Source::mnist, folder.path());
  const DataIdentity first = identity_of(config);
  EXPECT_EQ(first.train.images, 4);
  EXPECT_EQ(first.validation.images, 2);
  write_idx(other, 0, {0, 1, 2, 3});
  EXPECT_EQ(difference(first, identity_of(data_config(Source::mnist, other.path()))), "");
  write_idx(folder, 0, {0, 1, 3, 2});
  EXPECT_EQ(difference(first, identity_of(config)), "its 4 training images are others");
  Bytes images = idx_images(4, 28, 28, 0);
  images[16 + 3 * 784 + 783] ^= 1;  // the last pixel
  write_idx(folder, 0, {0, 1, 2, 3});
  folder.write("train-images-idx3-ubyte", images);
  EXPECT_EQ(difference(first, identity_of(config)), "its 4 training images are others");
}

TEST(Identity, WhatIsSetApartForValidationCounts) {
  const TemporaryFolder folder;
  write_idx(folder, 0, {0, 1, 2, 3});
  DataConfig config = data_config(Source::mnist, folder.path());
  const DataIdentity whole = identity_of(config);
  config.validation_fraction = 0.25;
  const std::string text = difference(whole, identity_of(config));
  expect_contains(text, {"3 training images here and 4 there", "1 validation images here and 2 there"});
}

TEST(Identity, DrawnImagesAreTheirParameters) {
  DataConfig digits;
  EXPECT_EQ(difference(identity_of(digits, 1), identity_of(digits, 1)), "");
  EXPECT_NE(difference(identity_of(digits, 1), identity_of(digits, 2)), "");
  DataConfig noise;
  noise.source = Source::synthetic;
  noise.synthetic = {{3, 8, 8}, 5, 20, 10};
  DataConfig other = noise;
  other.synthetic.image = {3, 8, 9};
  expect_contains(difference(identity_of(noise), identity_of(other)), {"(8,9,3) here and (8,8,3) there"});
  const TemporaryFolder folder;
  write_idx(folder, 0, {0, 1, 2, 3});
  expect_contains(difference(identity_of(data_config(Source::mnist, folder.path())), identity_of(digits)),
                  {"drawn ones here and those of files there"});
}

TEST(Identity, AFolderIsTheSameElsewhere) {
  const PictureFolder folder(3, 8, 2);
  const DataIdentity first = identity_of(folder.config());
  const PictureFolder copy(0, 0, 0);
  fs::copy(folder.path(), copy.path(), fs::copy_options::recursive);
  fs::rename(copy.path() / "val", copy.path() / "valid");
  const DataIdentity second = identity_of(copy.config());
  EXPECT_TRUE(first.train.contents && first.train.contents == second.train.contents);
  EXPECT_EQ(difference(first, second), "");
}

TEST(Identity, AnyChangeOfASmallFolderIsSeen) {
  const PictureFolder folder(2, 5, 2);
  const DataConfig config = folder.config();
  const DataIdentity first = identity_of(config);
  Bytes bytes = folder.read("train/class1/003.jpg");
  bytes[bytes.size() / 2] ^= 1;
  const Bytes whole = folder.read("train/class1/003.jpg");
  folder.write("train/class1/003.jpg", bytes);
  EXPECT_EQ(difference(first, identity_of(config)), "its 10 training images are others");
  folder.write("train/class1/003.jpg", whole);
  EXPECT_EQ(difference(first, identity_of(config)), "");
  fs::rename(folder.path() / "val/class0/000.jpg", folder.path() / "val/class0/xyz.jpg");
  EXPECT_EQ(difference(first, identity_of(config)), "its 4 validation images are others");
  folder.add("train/class0/new.jpg", 0, 1);
  expect_contains(difference(first, identity_of(config)), {"11 training images here and 10 there"});
}

TEST(Identity, ContentsThatCannotBeReadAreNotCompared) {
  const PictureFolder folder(2, 3, 1);
  const DataConfig config = folder.config();
  const DataIdentity first = identity_of(config);
  const Dataset data = load_dataset(config, 1);
  folder.remove("train/class0/001.jpg");
  const DataIdentity second = identify(data, config, 1).get();
  EXPECT_FALSE(second.train.contents);
  EXPECT_TRUE(second.validation.contents);
  EXPECT_EQ(difference(first, second), "");
}

TEST(Identity, APackedFileIsItsPixels) {
  const PictureFolder folder(2, 4, 1);
  const fs::path file = folder.path() / "x.pack";
  pack_folder(folder.path(), file, {32, 0, 1, {}});
  DataConfig config = folder.config();
  const DataIdentity files = identity_of(config);
  config.source = Source::packed;
  config.path = file.string();
  const DataIdentity first = identity_of(config);
  EXPECT_EQ(difference(first, identity_of(config)), "");
  EXPECT_EQ(difference(files, first), "") << "other contents are not compared";
  folder.add("train/class1/002.jpg", 1, 7);
  pack_folder(folder.path(), file, {32, 0, 1, {}});
  EXPECT_EQ(difference(first, identity_of(config)), "its 8 training images are others");
}

TEST(ClassNames, DifferencesAreNamed) {
  EXPECT_EQ(class_difference({"a", "b"}, {"a", "b"}), "");
  EXPECT_EQ(class_difference({}, {"a", "b"}), "");
  EXPECT_EQ(class_difference({"a", "b"}, {"b", "z"}), "its classes are b, z here and a, b there");
  const Names six{"a", "b", "c", "d", "e", "f"};
  EXPECT_EQ(class_difference(six, {"a", "c", "b", "d", "e", "f"}),
            "its classes are in another order: class 1 is c here and b there, class 2 is b here and c there");
  expect_contains(class_difference(six, {"b", "c", "d", "e", "f", "g"}),
                  {"class 0 is b here and a there", "and so on", "only here: g", "only there: a"});
  expect_contains(class_difference(six, {"a", "b", "c", "d", "e"}),
                  {"5 classes here and 6 there", "only there: f"});
}

TEST(ClassNames, NamesThatLookAlikeAreShownApart) {
  const std::string composed = "caf\u00e9", decomposed = "cafe\u0301";
  EXPECT_EQ(list_of_names({composed}, {decomposed}), composed + " (caf\\u00e9)");
  EXPECT_EQ(list_of_names({decomposed}, {composed}), decomposed + " (cafe\\u0301)");
  EXPECT_EQ(list_of_names({"\u0430"}, {"a"}), "\u0430 (\\u0430)") << "a Cyrillic letter";
  EXPECT_EQ(list_of_names({"\ud55c"}, {"\u1112\u1161\u11ab"}), "\ud55c (\\ud55c)");
  EXPECT_EQ(list_of_names({composed}, {"dog"}), composed);
  EXPECT_EQ(list_of_names({"cat"}, {"cot"}), "cat");
}

}  // namespace
}  // namespace convoy::testing
