// Which files of a folder are pictures.
#include "src/data/picture_files.h"

#include <sys/stat.h>

#include "tests/data/picture_folder.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(PictureFiles, InDeeperFoldersAndBehindLinks) {
  const PictureFolder folder(0, 0, 0), other(0, 0, 0);
  for (const char* name : {"cat/2.jpg", "cat/B.JPEG", "cat/more/1.PNG", "cat/more/still/x.tif",
                           "cat/.hidden.jpg", "cat/.cache/1.jpg", "cat/note.txt", "cat/noending"})
    folder.put(name, {1});
  other.put("set/7.jpg", {1});
  fs::create_symlink(other.path() / "set", folder.path() / "cat/link");
  fs::create_symlink(other.path() / "set/7.jpg", folder.path() / "cat/3.jpg");
  const FoundPictures found = find_pictures(folder.path() / "cat");
  EXPECT_EQ(found.files, (Names{"2.jpg", "3.jpg", "B.JPEG", "link/7.jpg", "more/1.PNG", "more/still/x.tif"}));
  EXPECT_EQ(found.deeper, 3);
  expect_contains(found.others.text(), {"noending and 1 more: left out", "1 .txt, 1 without an ending"});
  EXPECT_TRUE(found.unreadable.empty());
}

TEST(PictureFiles, LinksThatLeadNowhereOrRoundAreNamed) {
  const PictureFolder folder(0, 0, 0);
  folder.put("cat/1.jpg", {1});
  folder.put("cat/more/2.jpg", {1});
  fs::create_symlink("..", folder.path() / "cat/more/up");
  fs::create_symlink(".", folder.path() / "cat/self");
  fs::create_symlink("gone", folder.path() / "cat/3.jpg");
  ASSERT_EQ(mkfifo((folder.path() / "cat/4.jpg").c_str(), 0600), 0);
  const FoundPictures found = find_pictures(folder.path() / "cat");
  EXPECT_EQ(found.files, (Names{"1.jpg", "more/2.jpg"}));
  expect_contains(found.others.text(),
                  {"and 3 more: left out", "1 .jpg that is a link to nothing",
                   "1 .jpg that is no regular file", "2 link to a folder that it lies in"});
}

TEST(PictureFiles, TrainingTakesThemAll) {
  const PictureFolder folder(2, 2, 1);
  folder.add("train/class1/more/deep/9.jpg", 1, 2);
  fs::create_symlink(folder.path() / "train/class0/000.jpg", folder.path() / "train/class0/zzz.jpg");
  fs::rename(folder.path() / "train/class1", folder.path() / "elsewhere");
  fs::create_symlink("../elsewhere", folder.path() / "train/class1");
  const Dataset data = load_dataset(folder.config(), 1);
  EXPECT_EQ(data.train.size(), 6u);
  EXPECT_EQ(data.source->name_of(5), (folder.path() / "train/class1/more/deep/9.jpg").string());
  expect_contains(data.warning, {"1 of the pictures lies deeper than their class folder and belong",
                                 "class1/more/deep/9.jpg"});
  EXPECT_EQ(data.warning.find("too high"), std::string::npos);
}

TEST(PictureFiles, AFolderTooHighIsGuessed) {
  const PictureFolder folder(2, 2, 1);
  const PictureFolder above(0, 0, 0);
  fs::rename(folder.path(), above.path() / "pets");
  fs::remove_all(above.path() / "pets/val");
  fs::rename(above.path() / "pets/train", above.path() / "dogs");
  DataConfig config = above.config();
  config.validation_fraction = 0.25;
  fs::remove_all(above.path() / "pets");
  const Dataset data = load_dataset(config, 1);
  EXPECT_EQ(data.classes, 1);
  expect_contains(data.warning, {"4 of the pictures lie deeper", "is data.path a folder too high?"});
}

}  // namespace
}  // namespace convoy::testing
