// The tensor-core product's shared memory and fragments, which need no GPU.
#include "kernels/cuda/mma_layout.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <type_traits>
#include <vector>

namespace convoy::mma {
namespace {

/// Whether eight chunks, moved at once, lie in distinct groups of four banks.
bool conflict_free(const std::vector<int>& chunks) {
  std::set<int> banks;
  for (const int chunk : chunks) banks.insert(chunk % 8);
  return chunks.size() == 8 && banks.size() == 8;
}

template <class Order>
class MmaLayout : public ::testing::Test {};
using Orders = ::testing::Types<QuadOrder, NaturalOrder>;
TYPED_TEST_SUITE(MmaLayout, Orders);

TYPED_TEST(MmaLayout, EveryChunkHasItsPlace) {
  std::set<int> rows;
  for (int row = 0; row < 64; ++row) {
    for (int chunk = 0; chunk < chunks_per_row; ++chunk) rows.insert(rows_chunk<TypeParam>(row, chunk));
  }
  EXPECT_EQ(rows.size(), 64U * chunks_per_row);
  EXPECT_EQ(*rows.rbegin(), 64 * chunks_per_row - 1);
  for (const int extent_chunks : {4, 8, 16}) {
    std::set<int> columns;
    for (int k = 0; k < 32; ++k) {
      for (int chunk = 0; chunk < extent_chunks; ++chunk) {
        columns.insert(columns_chunk<TypeParam>(k, chunk, extent_chunks));
      }
    }
    EXPECT_EQ(columns.size(), 32U * static_cast<unsigned>(extent_chunks));
    EXPECT_EQ(*columns.rbegin(), 32 * extent_chunks - 1);
  }
}

TYPED_TEST(MmaLayout, GroupsCoverTheirRows) {
  std::set<int> rows;
  for (int g = 0; g < 8; ++g) {
    for (int matrix = 0; matrix < group_matrices; ++matrix) rows.insert(TypeParam::row(g, matrix));
  }
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(group_rows));
  EXPECT_EQ(*rows.begin(), 0);
  EXPECT_EQ(*rows.rbegin(), group_rows - 1);
}

/// A lane's accumulators 2t and 2t + 1 of four matrices: two runs of four neighbours, and those of four lanes
/// 64 bytes in a row.
TEST(QuadOrder, AccumulatorsLeaveInRows) {
  for (int c = 0; c < 2; ++c) {
    for (int t = 0; t < 4; ++t) {
      for (int matrix = 0; matrix < group_matrices; ++matrix) {
        EXPECT_EQ(QuadOrder::row(2 * t + c, matrix), 16 * c + 4 * t + matrix);
      }
    }
  }
}

/// ldmatrix: a matrix's eight rows.
TYPED_TEST(MmaLayout, ReadsAlongKMeetNoBankTwice) {
  for (int group = 0; group < 4; ++group) {
    for (int chunk = 0; chunk < chunks_per_row; ++chunk) {
      for (int matrix = 0; matrix < group_matrices; ++matrix) {
        std::vector<int> chunks;
        for (int g = 0; g < 8; ++g)
          chunks.push_back(rows_chunk<TypeParam>(group * group_rows + TypeParam::row(g, matrix), chunk));
        EXPECT_TRUE(conflict_free(chunks));
      }
    }
  }
}

/// 16 bytes per lane: eight lanes at a time.
TEST(QuadOrder, ReadsAcrossMeetNoBankTwice) {
  for (int group = 0; group < 4; ++group) {
    for (const int extent_chunks : {8, 16, 32}) {
      for (int k = 0; k < 32; k += 4) {
        for (int first = 0; first < 32; first += 8) {
          std::vector<int> chunks;
          for (int lane = first; lane < first + 8; ++lane) {
            chunks.push_back(columns_chunk<QuadOrder>(
                k + lane % 4, group * 8 % extent_chunks + QuadOrder::place_of(lane / 4), extent_chunks));
          }
          EXPECT_TRUE(conflict_free(chunks));
        }
      }
    }
  }
}

/// ldmatrix.trans: one chunk at eight places along K.
TEST(NaturalOrder, ReadsAcrossMeetNoBankTwice) {
  for (const int extent_chunks : {4, 8, 16, 32}) {
    for (int chunk = 0; chunk < extent_chunks; ++chunk) {
      for (int k = 0; k < 64; k += 8) {
        std::vector<int> chunks;
        for (int row = 0; row < 8; ++row)
          chunks.push_back(columns_chunk<NaturalOrder>(k + row, chunk, extent_chunks));
        EXPECT_TRUE(conflict_free(chunks));
      }
    }
  }
}

TYPED_TEST(MmaLayout, CopiesAlongKMeetNoBankTwice) {
  for (int row = 0; row < 32; ++row) {
    std::vector<int> chunks;
    for (int chunk = 0; chunk < chunks_per_row; ++chunk) chunks.push_back(rows_chunk<TypeParam>(row, chunk));
    EXPECT_TRUE(conflict_free(chunks));
  }
}

/// Threads copy every chunk once, and eight neighbours to distinct banks where a place along K fills them;
/// and a thread's turns are where the kernel's XOR puts them.
TYPED_TEST(MmaLayout, CopiesAcrossMeetNoBankTwice) {
  for (const int lanes : {1, 2, 4, 8}) {
    for (const int extent_chunks : {4, 8, 16, 32}) {
      if (lanes > extent_chunks || (lanes == 1 && std::is_same_v<TypeParam, QuadOrder>)) continue;
      std::set<int> all;
      for (int i = 0; i < extent_chunks / lanes; ++i) {
        for (int first = 0; first < 32 * lanes; first += 8) {
          std::vector<int> chunks;
          for (int thread = first; thread < first + 8; ++thread) {
            const int k = thread / lanes;
            const auto at = [&](int turn) {
              return columns_chunk<TypeParam>(k, columns_turn(k, thread % lanes, turn, lanes, extent_chunks),
                                              extent_chunks);
            };
            EXPECT_EQ(at(i), at(0) ^ (i * lanes));
            chunks.push_back(at(i));
          }
          if (extent_chunks >= 8) {
            EXPECT_TRUE(conflict_free(chunks)) << lanes << " lanes, " << extent_chunks << " chunks";
          }
          all.insert(chunks.begin(), chunks.end());
        }
      }
      EXPECT_EQ(all.size(), 32U * static_cast<std::size_t>(extent_chunks));
    }
  }
}

/// What the tensor cores see: the upper 19 bits.
std::uint32_t seen(float value) {
  return std::bit_cast<std::uint32_t>(nearly_tf32(value)) & 0xffffe000u;
}

TEST(Tf32, RoundsToNearestTiesAway) {
  std::mt19937 random(3);
  for (int i = 0; i < 1'000'000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    if (i % 4 == 0) bits = (bits & 0xffffe000u) | 0x1000u;  // a tie
    if (i % 4 == 1) bits |= 0x007ff000u;                    // rounds up to the next power of two
    const std::uint32_t exponent = bits >> 23 & 0xffu;
    if (exponent == 0 || exponent == 0xff) continue;
    ASSERT_EQ(seen(std::bit_cast<float>(bits)), (bits + 0x1000u) & 0xffffe000u) << std::hex << bits;
  }
}

TEST(Tf32, KeepsWhatIsNotANumber) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(seen(infinity), std::bit_cast<std::uint32_t>(infinity));
  EXPECT_EQ(seen(-infinity), std::bit_cast<std::uint32_t>(-infinity));
  EXPECT_EQ(seen(0.0f), 0U);
  EXPECT_EQ(seen(-0.0f), 0x80000000U);
  EXPECT_EQ(seen(1e-40f) >> 23, 0U);
  for (const std::uint32_t nan : {0x7fffffffU, 0xffffffffU, 0x7f800001U, 0x7fc00000U}) {
    EXPECT_TRUE(std::isnan(std::bit_cast<float>(seen(std::bit_cast<float>(nan))))) << std::hex << nan;
  }
}

}  // namespace
}  // namespace convoy::mma
