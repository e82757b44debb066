#include "src/io/tensorboard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/regular_file.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

std::uint32_t crc_of(const std::string& text) {
  return crc32c(std::as_bytes(std::span(text)));
}

TEST(TensorBoardFile, ChecksumsAreThoseOfRfc3720) {
  EXPECT_EQ(crc_of("123456789"), 0xE3069283u);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc_of(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc_of(""), 0u);
}

TEST(TensorBoardFile, ARecordIsFramed) {
  const std::string record = event_record("abc");
  ASSERT_EQ(record.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\3\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 3), "abc");
  std::uint32_t stored = 0;
  std::memcpy(&stored, record.data() + 15, sizeof stored);
  const std::uint32_t rotated = stored - 0xA282EAD8u;
  EXPECT_EQ((rotated << 15) | (rotated >> 17), crc_of("abc"));
}

TEST(TensorBoardFile, HistogramsCountEveryValueOnce) {
  Histogram histogram;
  const std::vector<double> values = {-3, -1.5, -1.5, -1e-20, 0, 1e-20, 0.001, 0.1, 1, 1.0625, 1e30};
  for (const double value : values) histogram.add(value);
  histogram.add(std::nan(""));
  histogram.add(std::numeric_limits<double>::infinity());
  EXPECT_EQ(histogram.count(), static_cast<double>(values.size()));
  EXPECT_EQ(histogram.min(), -3);
  EXPECT_EQ(histogram.max(), 1e30);
  const std::vector<Histogram::Bucket> buckets = histogram.buckets();
  EXPECT_EQ(buckets.front().count, 0);
  EXPECT_LT(buckets.front().limit, -3);
  EXPECT_GT(buckets.back().limit, 1e30);
  double seen = 0;
  for (std::size_t i = 1; i < buckets.size(); ++i) {
    EXPECT_LT(buckets[i - 1].limit, buckets[i].limit);
    std::int64_t inside = 0;
    for (const double value : values) {
      // A magnitude belongs to the bucket that begins there.
      const bool above = value < 0 ? value > buckets[i - 1].limit : value >= buckets[i - 1].limit;
      const bool below = value < 0 ? value <= buckets[i].limit : value < buckets[i].limit;
      if (above && below) ++inside;
    }
    EXPECT_EQ(static_cast<double>(inside), buckets[i].count) << "up to " << buckets[i].limit;
    seen += buckets[i].count;
  }
  EXPECT_EQ(seen, histogram.count());
}

TEST(TensorBoardFile, AnEmptyHistogramHasNoBuckets) {
  EXPECT_TRUE(Histogram().buckets().empty());
}

TEST(TensorBoardFile, LaterFilesStandBehindEarlierOnes) {
  const TemporaryFolder folder;
  const auto first_name = folder.path() / "events.out.tfevents.9000000000.host.1";
  write_file_atomically(first_name, "");
  EventWriter second(folder.path(), "host", 1);
  second.scalar("a", 1, 2);
  EXPECT_FALSE(std::filesystem::exists(second.path()));
  second.flush();
  const std::string bytes = read_file(second.path());
  second.flush();
  EXPECT_EQ(read_file(second.path()), bytes);
  EXPECT_GT(second.path().filename().string(), first_name.filename().string());
  EXPECT_GT(EventWriter(folder.path(), "host", 1).path().filename().string(),
            second.path().filename().string());
}

TEST(TensorBoardFile, ANewOneFollowsWhereOthersTouchedTheLast) {
  namespace fs = std::filesystem;
  const auto remove = [](const fs::path& path) { fs::remove(path); };
  const auto cut = [](const fs::path& path) { fs::resize_file(path, 10); };
  const auto replace = [](const fs::path& path) { fs::remove(path), fs::create_directory(path); };
  for (const std::function<void(const fs::path&)>& touch :
       std::vector<std::function<void(const fs::path&)>>{remove, cut, replace}) {
    const TemporaryFolder folder;
    EventWriter events(folder.path(), "host", 1);
    events.scalar("a", 1, 2);
    events.flush();
    const fs::path first = events.path();
    touch(first);
    events.scalar("a", 2, 3);
    events.flush();
    EXPECT_GT(events.path(), first);
    EXPECT_NE(read_file(events.path()).find("brain.Event:2"), std::string::npos);
    EXPECT_FALSE(events.incomplete());
  }
}

TEST(TensorBoardFile, WhatCannotBeWrittenIsKeptUpToALimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "board", "in the way");
  EventWriter events(folder.path() / "board", "host", 1);
  events.text("a", 1, "first");
  EXPECT_THROW(events.flush(), Error);
  EXPECT_FALSE(events.incomplete());
  std::filesystem::remove(folder.path() / "board");
  events.flush();
  EXPECT_NE(read_file(events.path()).find("first"), std::string::npos);

  std::filesystem::remove_all(folder.path() / "board");
  write_file_atomically(folder.path() / "board", "in the way");
  events.text("a", 2, std::string(EventWriter::most_kept, 'x'));
  EXPECT_THROW(events.flush(), Error);
  EXPECT_TRUE(events.incomplete());
  std::filesystem::remove(folder.path() / "board");
  events.text("a", 3, "third");
  events.flush();
  EXPECT_LT(read_file(events.path()).size(), 1000u);
}

TEST(TensorBoardFile, NamesWithoutATimeDoNotCount) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "events.out.tfevents.9223372036854775807.host.1", "");
  const std::string name = EventWriter(folder.path(), "host", 1).path().filename().string();
  EXPECT_EQ(name.substr(20, 11).find('.'), 10u) << name;
}

}  // namespace
}  // namespace convoy::testing
