// The CUDA kernels' index arithmetic, which needs no GPU.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/batchnorm_tiling.h"
#include "kernels/fast_divide.h"
#include "kernels/pool_geometry.h"

namespace convoy {
namespace {

TEST(FastDivide, EqualsDivision) {
  constexpr std::uint32_t largest = 0x7fffffff;
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const std::uint32_t divisor = std::max(random() >> (1 + random() % 31), std::uint_fast32_t{1});
    const FastDivide by(divisor);
    const std::uint32_t n = random() & largest, multiple = n / divisor * divisor;
    for (const std::uint32_t value : {n, multiple, multiple > 0 ? multiple - 1 : 0, largest}) {
      ASSERT_EQ(by.quotient(value), value / divisor) << value << " / " << divisor;
      std::uint32_t quotient = value;
      ASSERT_EQ(by.divide(quotient), value % divisor) << value << " % " << divisor;
    }
  }
}

TEST(PoolAxis, RangesHoldWhatTheDefinitionSays) {
  for (int in = 1; in <= 9; ++in) {
    for (int kernel = 1; kernel <= 4; ++kernel) {
      for (int stride = 1; stride <= 5; ++stride) {
        for (int pad = 0; pad <= kernel / 2; ++pad) {
          const PoolAxis axis{in, window_output(in, kernel, stride, pad, 1), kernel, stride, pad};
          for (int o = 0; o < axis.out; ++o) {
            const IndexRange taps = axis.taps(o);
            for (int k = 0; k < kernel; ++k) {
              const int i = o * stride - pad + k;
              EXPECT_EQ(taps.first <= k && k < taps.last, i >= 0 && i < in);
            }
          }
          for (int i = 0; i < in; ++i) {
            const IndexRange covering = axis.covering(i);
            for (int o = 0; o < axis.out; ++o) {
              const int k = i - (o * stride - pad);
              EXPECT_EQ(covering.first <= o && o < covering.last, k >= 0 && k < kernel)
                  << "in " << in << " kernel " << kernel << " stride " << stride << " pad " << pad << " i "
                  << i;
            }
          }
        }
      }
    }
  }
}

TEST(PoolAxis, CeilAddsAWindowForWhatIsLeftOver) {
  for (int in = 1; in <= 9; ++in) {
    for (int kernel = 1; kernel <= 4; ++kernel) {
      for (int stride = 1; stride <= 5; ++stride) {
        for (int pad = 0; pad <= kernel / 2; ++pad) {
          const PoolAxis floor = PoolAxis::sliding(in, kernel, stride, pad, false),
                         ceil = PoolAxis::sliding(in, kernel, stride, pad, true);
          EXPECT_EQ(floor.out, window_output(in, kernel, stride, pad, 1));
          // The formula of PyTorch's pooling_output_shape.
          const int span = in + 2 * pad - kernel + stride - 1;
          int expected = span < 0 ? 0 : span / stride + 1;
          if ((expected - 1) * stride >= in + pad) --expected;
          EXPECT_EQ(ceil.out, expected)
              << "in " << in << " kernel " << kernel << " stride " << stride << " pad " << pad;
        }
      }
    }
  }
}

TEST(PoolAxis, AdaptiveWindowsCoverTheImage) {
  for (int in = 1; in <= 12; ++in) {
    for (int out = 1; out <= 14; ++out) {
      const PoolAxis axis = PoolAxis::parts(in, out);
      EXPECT_EQ(axis.start(0), 0);
      EXPECT_EQ(axis.end(out - 1), in);
      for (int i = 0; i < in; ++i) {
        const IndexRange covering = axis.covering(i);
        EXPECT_GT(covering.count(), 0);
        for (int o = 0; o < out; ++o) {
          // Part o is [o in / out, (o + 1) in / out); pixel i is [i, i + 1).
          const bool touches = o * in < (i + 1) * out && i * out < (o + 1) * in;
          EXPECT_EQ(axis.start(o) <= i && i < axis.end(o), touches);
          EXPECT_EQ(covering.first <= o && o < covering.last, touches);
        }
      }
    }
  }
}

TEST(PoolGeometry, PositionsEnumerateTheTensor) {
  const PoolShape shape{
      .n = 2, .in = {3, 5, 4, 8}, .kernel = {2, 2, 3}, .stride = {1, 2, 1}, .pad = {0, 1, 1}};
  for (const bool per_input : {false, true}) {
    const PoolGeometry g = pool_geometry(shape, 4, per_input);
    const FeatureShape side = per_input ? shape.in : shape.out();
    const std::int64_t count = shape.n * side.count() / 4;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto p = g.position(static_cast<std::uint32_t>(i));
      EXPECT_EQ(per_input ? g.in_pack(p, p.d, p.h, p.w) : g.out_pack(p, p.d, p.h, p.w), i);
    }
  }
}

/// Every row of this rank lies in exactly one slice of its own group.
void expect_exact_cover(const BatchNormShape& shape, int pack_width, bool one_group) {
  const BatchNormTiling t = batchnorm_tiling(shape, pack_width, one_group);
  EXPECT_EQ(t.lanes * t.rows, BatchNormTiling::block);
  EXPECT_GE(t.lanes * t.pack_tiles, t.packs);
  std::vector<int> seen(static_cast<std::size_t>(shape.n * shape.pixels), 0);
  for (int g = 0; g < t.groups; ++g) {
    for (int slice = 0; slice < t.slices; ++slice) {
      const auto rows = t.rows_of(g, slice);
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        ++seen.at(static_cast<std::size_t>(row));
        const int group = one_group ? 0 : shape.group_of(static_cast<int>(row / shape.pixels));
        EXPECT_EQ(group, t.first_group + g);
      }
    }
  }
  for (const int times : seen) ASSERT_EQ(times, 1) << shape.describe() << " first " << shape.first;
}

TEST(BatchNormTiling, CoversEveryRowOnce) {
  for (const int group : {1, 3, 8, 64, 100}) {
    for (const int first : {0, 5, 8, 31}) {
      for (const int n : {1, 3, 8, 33}) {
        for (const int pixels : {1, 49, 300}) {
          for (const int c : {1, 3, 4, 20, 64, 200}) {
            const BatchNormShape shape{
                .n = n, .first = first, .global_n = 64, .group = group, .pixels = pixels, .c = c};
            expect_exact_cover(shape, 1, false);
            expect_exact_cover(shape, 1, true);
            for (const int width : {4, 8}) {
              if (c % width == 0) expect_exact_cover(shape, width, false);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace convoy
