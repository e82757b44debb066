// The staging thread: order, contents, back-pressure, restarts, errors and an end at any moment.
#include "src/data/prefetch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "core/error.h"

namespace convoy::testing {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr int samples = 50, pixels = 4, capacity = 8;

// Images of 2x2 pixels, all of the value of their id.
Dataset numbered() {
  Dataset data;
  data.image = {1, 2, 2, 1};
  data.classes = 1;
  data.labels.assign(samples, 0);
  for (int id = 0; id < samples; ++id)
    data.images.insert(data.images.end(), pixels, static_cast<std::uint8_t>(id));
  return data;
}

class Prefetch : public ::testing::Test {
 protected:
  std::vector<std::uint8_t*> slots(int count) {
    memory.assign(static_cast<std::size_t>(count), std::vector<std::uint8_t>(capacity * pixels, 255));
    std::vector<std::uint8_t*> pointers;
    for (auto& slot : memory) pointers.push_back(slot.data());
    return pointers;
  }
  void expect_batch(int slot, const Ids& ids) {
    const auto& bytes = memory.at(static_cast<std::size_t>(slot));
    for (std::size_t i = 0; i < ids.size() * pixels; ++i)
      ASSERT_EQ(bytes[i], ids[i / pixels]) << "byte " << i;
  }

  const Dataset data = numbered();
  std::vector<std::vector<std::uint8_t>> memory;
};

std::vector<Ids> many_batches(int count) {
  std::vector<Ids> batches;
  for (int b = 0; b < count; ++b) {
    Ids ids;
    for (int i = 0; i < b % (capacity + 1); ++i)
      ids.push_back((b * 7 + i * 3) % samples);  // the first has no image
    batches.push_back(ids);
  }
  return batches;
}

TEST_F(Prefetch, StagesEveryBatchInOrder) {
  for (const auto& [count, threads] : {std::pair{1, 1}, {2, 1}, {3, 1}, {1, 3}, {3, 3}}) {
    Prefetcher prefetcher(data, slots(count), threads);
    const auto batches = many_batches(200);
    prefetcher.start(batches);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const int slot = prefetcher.acquire();
      EXPECT_EQ(slot, static_cast<int>(b) % count);
      expect_batch(slot, batches[b]);
      prefetcher.release();
    }
  }
}

/// Images that show what they are fetched for.
class Occasions : public ImageSource {
 public:
  void fetch(std::int32_t, const Occasion& occasion, std::uint8_t* out) const override {
    std::fill_n(out, pixels, static_cast<std::uint8_t>(occasion.epoch));
  }
  std::uint64_t fingerprint() const override { return 0; }
  const char* contents_kind() const override { return ""; }
  std::optional<std::uint64_t> hash_contents(std::span<const std::int32_t>) const override { return {}; }
  std::string name_of(std::int32_t) const override { return ""; }
};

TEST_F(Prefetch, BatchesMayHaveOccasionsOfTheirOwn) {
  Dataset shown = data;
  shown.source = std::make_shared<Occasions>();
  Prefetcher prefetcher(shown, slots(2), 3);
  for (const int each : {0, 1}) {
    prefetcher.start({{1, 1}, {1, 1}, {1}}, {true, 40, each});
    for (int batch = 0; batch < 3; ++batch) {
      const int epoch = 40 + each * batch;
      expect_batch(prefetcher.acquire(), batch < 2 ? Ids{epoch, epoch} : Ids{epoch});
      prefetcher.release();
    }
  }
}

TEST_F(Prefetch, DoesNotOverwriteAnAcquiredSlot) {
  Prefetcher prefetcher(data, slots(2));
  prefetcher.start({{1, 1}, {2, 2}, {3, 3}});
  const int first = prefetcher.acquire(), second = prefetcher.acquire();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // time to do wrong
  expect_batch(first, {1, 1});
  expect_batch(second, {2, 2});
  prefetcher.release();
  EXPECT_EQ(prefetcher.acquire(), first);
  expect_batch(first, {3, 3});
  expect_batch(second, {2, 2});
}

TEST_F(Prefetch, StartDropsAnUnfinishedSequence) {
  Prefetcher prefetcher(data, slots(2), 3);
  for (int round = 0; round < 300; ++round) {
    prefetcher.start(many_batches(50));
    for (int taken = 0; taken < round % 3; ++taken) prefetcher.acquire();
    const std::int32_t id = round % samples;
    prefetcher.start({{id}, {id, id}});
    expect_batch(prefetcher.acquire(), {id});
    expect_batch(prefetcher.acquire(), {id, id});
  }
}

TEST_F(Prefetch, RethrowsAfterTheBatchesBefore) {
  Prefetcher prefetcher(data, slots(2));
  prefetcher.start({{4}, {5, samples}, {6}});
  expect_batch(prefetcher.acquire(), {4});
  prefetcher.release();
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      prefetcher.acquire();
      FAIL() << "sample " << samples << " does not exist";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("sample 50"), std::string::npos) << error.what();
    }
  }
  prefetcher.start({{7}});  // a new sequence starts afresh
  expect_batch(prefetcher.acquire(), {7});
}

TEST_F(Prefetch, MisuseThrowsInsteadOfWaitingForEver) {
  EXPECT_THROW(Prefetcher(data, {}), Error);
  Prefetcher prefetcher(data, slots(1));
  EXPECT_THROW(prefetcher.acquire(), Error) << "nothing was started";
  prefetcher.start({{1}, {2}});
  EXPECT_THROW(prefetcher.release(), Error) << "nothing was acquired";
  prefetcher.acquire();
  EXPECT_THROW(prefetcher.acquire(), Error) << "the only slot is still held";
  prefetcher.release();
  prefetcher.acquire();
  prefetcher.release();
  EXPECT_THROW(prefetcher.acquire(), Error) << "there is no third batch";
}

TEST_F(Prefetch, EndsAtAnyMoment) {
  for (int round = 0; round < 300; ++round) {
    Prefetcher prefetcher(data, slots(2));
    if (round % 4 == 0) continue;
    prefetcher.start(many_batches(round));
    for (int taken = 0; taken < std::min(round, round % 3); ++taken) prefetcher.acquire();
  }
}

}  // namespace
}  // namespace convoy::testing
