// Gradient of 3 x 3 filters, stride 1, padding 1: dw (K,3,3,C) = sum over pixels of dy (pixel, K) x x (pixel
// of tap, C).
//
// What is summed are pixels, so both operands are read across (`Major::across`): a row in shared memory is
// one pixel's 64 filters or 64 channels, as the copy engine leaves it. A block holds 64 filters x 64 channels
// x 9 taps: three warpgroups, one for each row r of taps, multiply 64 filters by 192 columns, which are the
// three taps s of 64 channels. Those lie one pixel apart, so they are one operand whose blocks of 64 columns
// are 128 bytes apart (`leading`): one patch of x serves all nine taps, and a product reads 2 + 6 KiB in 96
// clocks (85 bytes a clock, where 64 columns would need 128).
//
// Each 64 x 64 pair of filters and channels is summed by 128 / pairs blocks ("splits") over tiles that lie
// `splits` apart; a second kernel adds their partial sums in order. Both numbers follow from the shape, so
// the bits do, too.
#pragma once

#include "bench/probes/strip.cuh"

namespace convoy::probe {

template <int Side>
struct WgradLayout {
  using S = Strip<Side>;
  static constexpr int groups = 3, threads = 128 * (groups + 1);
  static constexpr int stages = 3;
  /// Products of 16 pixels, two groups, that taps of row r leave out at the top (r = 0) or bottom (r = 2):
  /// they would read zeros. A single group, of side 32, is no product: then zeros stay between the patches.
  static constexpr int left_out = S::images / 2;
  using Patches = PatchRing<S, stages, Columns{}, S::images % 2 == 1 ? Halo::both : Halo::none>;
  static constexpr int gradients = 0, patches = stages * S::tile_bytes;
  static constexpr int barriers = patches + Patches::bytes, bytes = barriers + 16 * stages;
  static_assert(bytes <= 232448);
};

/// Blocks of the first kernel, all resident at once, and of these the splits of each pair.
constexpr int wgrad_blocks = 128;
constexpr int wgrad_pairs(int channels) {
  return channels / 64 * (channels / 64);
}
constexpr int wgrad_splits(int channels) {
  return wgrad_blocks / wgrad_pairs(channels);
}

/// Sums of taps (r, 0 ... 2) over a split's tiles, by one warpgroup.
template <class T, class L, int R>
__device__ __forceinline__ void sum_tiles(float (&sums)[96], std::uint32_t base, std::uint32_t full,
                                          std::uint32_t empty, int count) {
  using S = typename L::S;
  constexpr int begin = R == 0 ? L::left_out : 0, end = S::groups / 2 - (R == 2 ? L::left_out : 0);
  const bool arrives = threadIdx.x % 32 == 0;
  Ring at_stage;
  int last = 0;  // stage that the products under way read
  for (int i = 0; i < count; ++i) {
    const int stage = at_stage.stage;
    wait(full + 8 * stage, at_stage.parity);
    const std::uint32_t pixels =
        L::Patches::patch(base + L::patches, stage) + static_cast<std::uint32_t>(S::tap_bytes({}, R - 1, -1));
    const std::uint64_t a =
        layout_of(S::tile_bytes, 8 * S::row_bytes) + at(base + L::gradients + stage * S::tile_bytes);
    const std::uint64_t b = layout_of(S::row_bytes, Columns{}.group_bytes()) + at(pixels);
    fence_products();
#pragma unroll
    for (int k = begin; k < end; ++k)
      multiply<T, Major::across, Major::across, 192>(sums, a + k * (2 * 8 * S::row_bytes >> 4),
                                                     b + k * (2 * Columns{}.group_bytes() >> 4), true);
    commit_products();
    wait_products<1>();
    if (i > 0 && arrives) arrive(empty + 8 * last);
    last = stage;
    at_stage.advance(L::stages);
  }
  wait_products<0>();
}

/// x and dy (N,Side,Side,Channels); partial (splits,Channels,3,3,Channels). At least as many tiles as splits.
template <class T, int Side, int Channels>
__global__ void __launch_bounds__(512, 1)
    wgrad_kernel(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap dy, int tiles,
                 float* partial, LoopTime* time) {
  using L = WgradLayout<Side>;
  using S = Strip<Side>;
  constexpr int blocks = Channels / 64, pairs = wgrad_pairs(Channels), splits = wgrad_splits(Channels);
  extern __shared__ __align__(1024) std::byte shared[];
  const std::uint32_t base = shared_address(shared);
  const std::uint32_t full = base + L::barriers, empty = full + 8 * L::stages;
  const int thread = static_cast<int>(threadIdx.x);
  const int role = __shfl_sync(~0u, thread / 128, 0);
  if (thread == 0) {
    for (int i = 0; i < L::stages; ++i)
      init_barrier(full + 8 * i, 1), init_barrier(empty + 8 * i, 4 * L::groups);
    publish_barriers();
  }
  L::Patches::clear_halos(base + L::patches);
  __syncthreads();

  // Blocks that run side by side share a split's tiles.
  const int pair = static_cast<int>(blockIdx.x) % pairs, split = static_cast<int>(blockIdx.x) / pairs;
  const int filter = pair / blocks * 64, channel = pair % blocks * 64;
  const int count = (tiles - split + splits - 1) / splits;
  if (role == 0) {
    give_registers<32>();
    if (thread == 0) {
      Ring at_stage;
      for (int i = 0; i < count; ++i) {
        const int tile = split + i * splits;
        const int stage = at_stage.stage;
        wait(empty + 8 * stage, at_stage.parity ^ 1);
        arrive_expecting(full + 8 * stage, S::tile_bytes + L::Patches::patch_bytes);
        const auto place = S::place(tile);
        load_box(base + L::gradients + stage * S::tile_bytes, dy, full + 8 * stage, filter, place.w,
                 place.image, 0);
        load_patch<S>(L::Patches::patch(base + L::patches, stage), x, {}, full + 8 * stage, channel, tile);
        at_stage.advance(L::stages);
      }
    }
  } else {
    take_registers<160>();
    const int r = role - 1, lane = thread % 32, warp = thread / 32 % 4;
    float sums[96] = {};
    pin(sums);
    const LoopTimer timer;
    if (r == 0) sum_tiles<T, L, 0>(sums, base, full, empty, count);
    if (r == 1) sum_tiles<T, L, 1>(sums, base, full, empty, count);
    if (r == 2) sum_tiles<T, L, 2>(sums, base, full, empty, count);
    pin(sums);
    if (blockIdx.x == 0 && thread == 128) timer.write(time);
    // Column n is tap s = n / 64 of channel n % 64.
    float* to =
        partial +
        ((static_cast<std::ptrdiff_t>(split) * Channels + filter + 16 * warp + lane / 4) * 9 + 3 * r) *
            Channels +
        channel + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < 24; ++j) {
      float* at_column = to + j / 8 * Channels + j % 8 * 8;
      *reinterpret_cast<float2*>(at_column) = make_float2(sums[4 * j], sums[4 * j + 1]);
      *reinterpret_cast<float2*>(at_column + 8 * 9 * Channels) =
          make_float2(sums[4 * j + 2], sums[4 * j + 3]);
    }
  }
}

/// dw (count) = sum of partial (Splits,count) in a fixed order: each of eight rows of threads adds every
/// eighth split, then the first adds the rows. Blocks of 256 threads for 128 values each.
template <int Splits>
__global__ void __launch_bounds__(256) wgrad_sum_kernel(const float4* partial, int count, float4* dw) {
  constexpr int rows = Splits < 8 ? Splits : 8;
  __shared__ float4 sums[8][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, row = static_cast<int>(threadIdx.x) / 32;
  const int value = static_cast<int>(blockIdx.x) * 32 + lane;
  float4 sum{};
  if (row < rows) {
#pragma unroll
    for (int i = 0; i < Splits / rows; ++i) {
      const float4 v = partial[static_cast<std::ptrdiff_t>(i * rows + row) * (count / 4) + value];
      sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
  }
  sums[row][lane] = sum;
  __syncthreads();
  if (row != 0) return;
#pragma unroll
  for (int i = 1; i < rows; ++i) {
    const float4 v = sums[i][lane];
    sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
  }
  dw[value] = sum;
}

}  // namespace convoy::probe
