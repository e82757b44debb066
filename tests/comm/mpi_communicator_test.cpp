// Sums over ranks in host memory. Started by mpirun with several ranks.
#include "comm/mpi_communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "tests/test_environment.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

class DistributedSums : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ranks().size() == 1) GTEST_SKIP() << "needs several ranks: mpirun -np 2 convoy_tests";
  }
  /// 0 + 1 + ... + (ranks - 1)
  static int sum_of_ranks() { return ranks().size() * (ranks().size() - 1) / 2; }
};

template <class Real>
std::vector<Real> of_this_rank(std::size_t count) {
  std::vector<Real> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<Real>(ranks().rank() + i % 1000);
  return values;
}
template <class Real>
void expect_sums(const std::vector<Real>& values, int sum_of_ranks) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != static_cast<Real>(sum_of_ranks + ranks().size() * static_cast<int>(i % 1000))) ++wrong;
  }
  EXPECT_EQ(wrong, 0u) << "of " << values.size();
}

TEST_F(DistributedSums, OfAllSizesAndTypes) {
  MpiCommunicator communicator(ranks());
  for (const std::size_t count : {0u, 1u, 3u, 1000u, 100'000u, 3'000'000u}) {
    std::vector<float> floats = of_this_rank<float>(count);
    std::vector<double> doubles = of_this_rank<double>(count);
    communicator.all_reduce_sum_async(floats.data(), static_cast<std::int64_t>(count), DType::f32);
    communicator.all_reduce_sum_async(doubles.data(), static_cast<std::int64_t>(count), DType::f64);
    communicator.join();
    expect_sums(floats, sum_of_ranks());
    expect_sums(doubles, sum_of_ranks());
  }
  EXPECT_THROW(communicator.all_reduce_sum_async(nullptr, 1, DType::i32), Error);
}

// 1 + 1/1024 is a half, but no bfloat16; sums of it are rounded to even.
TEST_F(DistributedSums, OfSixteenBits) {
  MpiCommunicator communicator(ranks());
  const auto count = static_cast<float>(ranks().size());
  std::vector<Half> halves(1000, Half(1.0f + 1.0f / 1024));
  std::vector<BFloat16> brains(1000, BFloat16(1.0f + 1.0f / 128));
  communicator.all_reduce_sum_async(halves.data(), 1000, DType::f16);
  communicator.all_reduce_sum_async(brains.data(), 1000, DType::bf16);
  communicator.join();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_NEAR(static_cast<float>(halves[static_cast<std::size_t>(i)]), count + count / 1024, count / 1024);
    EXPECT_NEAR(static_cast<float>(brains[static_cast<std::size_t>(i)]), count + count / 128, count / 128);
  }
}

TEST_F(DistributedSums, ExchangeAndGatherSlices) {
  MpiCommunicator communicator(ranks());
  const int size = ranks().size(), rank = ranks().rank();
  constexpr int count = 700;
  std::vector<float> from, to(static_cast<std::size_t>(size * count)), values(to.size());
  for (int peer = 0; peer < size; ++peer)
    for (int i = 0; i < count; ++i) from.push_back(static_cast<float>(rank * 100 + peer * 10) + i * 0.001f);
  communicator.exchange_slices_async(from.data(), to.data(), count, DType::f32);
  communicator.join();
  for (int peer = 0; peer < size; ++peer) {
    const auto at = static_cast<std::size_t>(peer * count);
    EXPECT_EQ(to[at + 3], static_cast<float>(peer * 100 + rank * 10) + 3 * 0.001f);
    for (int i = 0; i < count && peer == rank; ++i)
      values[at + static_cast<std::size_t>(i)] = static_cast<float>(rank + 1);
  }
  communicator.gather_slices_async(values.data(), count, DType::f32);
  communicator.join();
  for (int peer = 0; peer < size; ++peer)
    EXPECT_EQ(values[static_cast<std::size_t>(peer * count + 5)], static_cast<float>(peer + 1));
}

// As in a run: many sums, the host's collectives after each join, two communicators in turn.
TEST_F(DistributedSums, AlternateWithTheHostsCollectives) {
  MpiCommunicator first(ranks()), second(ranks());
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<float>> buckets(8, of_this_rank<float>(5000));
    MpiCommunicator& communicator = round % 2 == 0 ? first : second;
    for (auto& bucket : buckets) communicator.all_reduce_sum_async(bucket.data(), 5000, DType::f32);
    communicator.join();
    EXPECT_EQ(ranks().max(ranks().rank()), ranks().size() - 1);
    for (const auto& bucket : buckets) expect_sums(bucket, sum_of_ranks());
  }
}

// The others get their sum while rank 0 is busy elsewhere: they leave a file, for which rank 0 waits before
// it joins. 16 MB do not pass without rank 0's help.
TEST_F(DistributedSums, ProceedBesideTheCallersWork) {
  const TemporaryFolder folder;
  std::string path = folder.path().string();
  ranks().broadcast(path.data(), path.size());  // as long on every rank
  const auto file_of = [&](int rank) { return std::filesystem::path(path) / std::to_string(rank); };
  MpiCommunicator communicator(ranks());
  std::vector<float> values = of_this_rank<float>(4'000'000);
  communicator.all_reduce_sum_async(values.data(), static_cast<std::int64_t>(values.size()), DType::f32);
  if (!ranks().is_root()) {
    communicator.join();
    std::ofstream(file_of(ranks().rank())) << "done";
  } else {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (int rank = 1; rank < ranks().size(); ++rank) {
      while (!std::filesystem::exists(file_of(rank)) && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      EXPECT_TRUE(std::filesystem::exists(file_of(rank))) << "rank " << rank << " still waits for this one";
    }
    communicator.join();
  }
  expect_sums(values, sum_of_ranks());
  ranks().max(0);  // rank 0's folder stays until all have written
}

TEST_F(DistributedSums, ErrorsOfMpiReachTheJoin) {
  MpiCommunicator communicator(ranks());
  std::vector<float> from(4), to(4);
  communicator.exchange_slices_async(from.data(), to.data(), -1, DType::f32);
  try {
    communicator.join();
    FAIL() << "MPI took it";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("MPI"), std::string::npos) << error.what();
  }
}

// Rank 0 by itself, the others among themselves, side by side.
TEST_F(DistributedSums, OfTheFirstRanksAlone) {
  const bool is_first = ranks().rank() < 1;
  {
    const RankEnvironment group = ranks().first(1);
    EXPECT_EQ(group.size(), is_first ? 1 : ranks().size() - 1);
    EXPECT_EQ(group.rank(), is_first ? 0 : ranks().rank() - 1);
    EXPECT_EQ(group.local_size(), group.size());
    EXPECT_EQ(group.max(ranks().rank()), is_first ? 0 : ranks().size() - 1);
    if (group.size() > 1) {
      MpiCommunicator communicator(group);
      float value = 1.0f;
      communicator.all_reduce_sum_async(&value, 1, DType::f32);
      communicator.join();
      EXPECT_EQ(value, static_cast<float>(group.size()));
    }
    ranks().rest();
  }
  const RankEnvironment alone = RankEnvironment::alone();
  EXPECT_EQ(alone.first(1).size(), 1);
}

}  // namespace
}  // namespace convoy::testing
