// The file of measured tiles: whole or as good as absent, and shared by processes.
#include "src/engine/tile_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace fs = std::filesystem;

namespace convoy::testing {
namespace {

using Tiles = std::map<std::string, std::size_t>;

class TileCacheTest : public ::testing::Test {
 protected:
  void write(const std::string& text) const {
    fs::create_directories(cache_.path().parent_path());
    std::ofstream(cache_.path()) << text;
  }
  TemporaryFolder folder_;
  TileCache cache_{folder_.path() / "some" / "convoy", "a device"};
};

TEST_F(TileCacheTest, HoldsWhatWasSaved) {
  EXPECT_TRUE(cache_.load().tiles.empty());
  const Tiles tiles{{"conv.fprop half f16 n=1", 3}, {"conv.wgrad half f16 n=1", 0}};
  cache_.save({tiles});
  EXPECT_EQ(cache_.load().tiles, tiles);
  EXPECT_EQ(TileCache(folder_.path() / "some" / "convoy", "a device").load().tiles, tiles);
}

TEST_F(TileCacheTest, EveryIdentityHasItsOwn) {
  cache_.save({{{"a", 3}}});
  const TileCache other(folder_.path() / "some" / "convoy", "another device");
  EXPECT_TRUE(other.load().tiles.empty());
  other.save({{{"a", 4}}});
  EXPECT_EQ(cache_.load().tiles, (Tiles{{"a", 3}}));
  // One whose name is ours by chance.
  fs::copy_file(other.path(), cache_.path(), fs::copy_options::overwrite_existing);
  EXPECT_TRUE(cache_.load().tiles.empty());
}

TEST_F(TileCacheTest, KeepsWhatOthersAdded) {
  const TileCache theirs(folder_.path() / "some" / "convoy", "a device");
  const TileChoices ours = cache_.load();  // before the others save
  theirs.save({{{"a", 1}, {"b", 1}}});
  TileChoices more = ours;
  more.tiles["b"] = 2, more.tiles["c"] = 2;
  cache_.save(more);
  EXPECT_EQ(cache_.load().tiles, (Tiles{{"a", 1}, {"b", 2}, {"c", 2}}));
}

TEST_F(TileCacheTest, LosesNothingWhenManySaveAtOnce) {
  constexpr std::size_t writers = 8, each = 5;
  std::vector<std::thread> threads;
  for (std::size_t writer = 0; writer < writers; ++writer) {
    threads.emplace_back([&, writer] {
      for (std::size_t i = 0; i < each;) {
        try {
          cache_.save({{{fmt::format("{} {}", writer, i), i}}});
          ++i;
        } catch (const Error&) {  // a busy disk: it did not get the lock in time
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache_.load().tiles.size(), writers * each);
}

TEST_F(TileCacheTest, DamageIsAbsence) {
  cache_.save({{{"a", 1}}});
  const std::string whole = read_file(cache_.path());
  for (const std::string& text :
       {std::string(), std::string("not json"), whole.substr(0, whole.size() / 2), std::string("[1, 2]"),
        std::string(R"({"for": 7, "tiles": {}})"), std::string(R"({"for": "a device"})"),
        std::string(R"({"for": "a device", "tiles": 3})")}) {
    write(text);
    EXPECT_TRUE(cache_.load().tiles.empty()) << text;
  }
  cache_.save({{{"b", 2}}});
  EXPECT_EQ(cache_.load().tiles, (Tiles{{"b", 2}})) << "a damaged file is replaced";
  write(R"({"for": "a device", "tiles": {"a": -1, "b": "x", "c": 1.5, "d": 4}})");
  EXPECT_EQ(cache_.load().tiles, (Tiles{{"d", 4}}));
}

TEST_F(TileCacheTest, SaysWhatCannotBeWritten) {
  std::ofstream(folder_.path() / "file") << "in the way";
  const TileCache blocked(folder_.path() / "file" / "convoy", "a device");
  EXPECT_TRUE(blocked.load().tiles.empty());
  EXPECT_THROW(blocked.save({{{"a", 1}}}), Error);
  const TileCache nowhere({}, "a device");
  EXPECT_TRUE(nowhere.load().tiles.empty());
  nowhere.save({{{"a", 1}}});
}

TEST(UserCacheFolder, FollowsTheEnvironment) {
  const ScopedVariable home("HOME", "/home/me"), cache("XDG_CACHE_HOME", "/var/me");
  EXPECT_EQ(user_cache_folder(), "/var/me/convoy");
  for (const char* unusable : {static_cast<const char*>(nullptr), "", "relative"}) {
    const ScopedVariable other("XDG_CACHE_HOME", unusable);
    EXPECT_EQ(user_cache_folder(), "/home/me/.cache/convoy");
    const ScopedVariable homeless("HOME", unusable);
    EXPECT_EQ(user_cache_folder(), "");
  }
}

}  // namespace
}  // namespace convoy::testing
