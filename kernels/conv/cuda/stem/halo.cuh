// fprop and wgrad of first layers on tensor cores (stem/halo.h), with 16-bit storage.
//
// Limited by writing y or reading dy (bytes) where taps·C is short, and by mma.sync and its loads where it is
// long (7 × 7 × 3).
#pragma once

#include "kernels/conv/cuda/stem/halo.h"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/mma_layout.h"
#include "kernels/cuda_device.cuh"
#include "kernels/leaky_relu_epilogue.h"

namespace convoy {

/// Queues the copies of a tile's halo to shared memory.
template <class Copies, class T>
__device__ __forceinline__ void copy_halo(const HaloConv& conv, const T* x, const HaloTile& tile,
                                          std::uint32_t to) {
  const T* image = x + std::int64_t{tile.n * conv.height} * conv.row_elements;
  const int units = conv.halo_units(), threads = static_cast<int>(blockDim.x);
  if (conv.unit == 8) {
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < units; i += threads) {
      const HaloSource from = conv.source(tile, i);
      Copies::copy(to + static_cast<std::uint32_t>(i) * 16, image + from.offset, from.inside);
    }
  } else {
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < units; i += threads) {
      const HaloSource from = conv.source(tile, i);
      Copies::copy_word(to + static_cast<std::uint32_t>(i) * 4, image + from.offset, from.inside);
    }
  }
}

/// Where a pixel's first pair lies in a halo: in the word at `bytes` or, from bit `shift` of it, across two.
struct HaloPlace {
  int bytes, shift;
};
__device__ __forceinline__ HaloPlace halo_place(int begin) {
  return {begin / 2 * 4, begin % 2 * 16};
}
/// The pair `offset` bytes after a pixel's first.
template <bool AcrossWords>
__device__ __forceinline__ std::uint32_t gathered_pair(const std::byte* halo, const HaloPlace& place,
                                                       int offset) {
  const auto* from = reinterpret_cast<const std::uint32_t*>(halo + (place.bytes + offset));
  if constexpr (AcrossWords) return __funnelshift_r(from[0], from[1], static_cast<unsigned>(place.shift));
  return from[0];
}

/// Two filters' weights of a pair; zero where there is none.
template <class T>
__device__ __forceinline__ std::uint32_t weight_pair(const HaloConv& conv, const T* w, int filter,
                                                     int filters, int pair) {
  std::uint32_t bits = 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int column = conv.column_of(pair, i);
    if (column >= 0 && filter < filters)
      bits |= std::uint32_t{w[std::int64_t{filter} * conv.length + column].bits} << 16 * i;
  }
  return bits;
}

/// y (pixels,K) = f(gather(x) (pixels, taps·C) wᵀ + bias). A block: 32·Groups filters (blockIdx.y) of every
/// gridDim.x-th tile, a warp: 32 pixels.
template <class Element, int Groups, bool AcrossWords>
__global__ void __launch_bounds__(HaloFprop::threads, 2)
    halo_fprop_kernel(const __grid_constant__ HaloFprop plan, const typename Element::Stored* __restrict__ x,
                      const typename Element::Stored* __restrict__ w, const float* __restrict__ bias,
                      typename Element::Stored* __restrict__ y, int filters, LeakyReluEpilogue activation) {
  using Stored = typename Element::Stored;
  using Copies = typename Element::Copies;
  constexpr int matrices = 4 * Groups, subtiles = HaloFprop::warp_pixels / 16;
  const HaloConv& conv = plan.conv;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, g = lane / 4, t = lane % 4;
  const int n_begin = static_cast<int>(blockIdx.y) * 32 * Groups;
  std::byte* shared = mma::dynamic_shared();
  // B of two mma.sync per access: (steps, matrices / 2, 32 lanes).
  auto* weights = reinterpret_cast<uint4*>(shared);
  // Of both pairs that a lane holds of a row: bytes from the window's first, and bits that count. (steps, 4)
  auto* taps = reinterpret_cast<int4*>(shared + plan.weight_bytes());
  // Bias of a lane's columns in the order of its sums: (matrices, 4, rows g and g + 8 × 2)
  auto* shared_bias = reinterpret_cast<float*>(shared + plan.weight_bytes() + plan.tap_bytes());
  std::byte* halo = shared + plan.weight_bytes() + plan.tap_bytes() + plan.bias_bytes();
  const auto queue = [&](int index, int stage) {
    if (index < conv.tiles)
      copy_halo<Copies>(conv, x, conv.tile(index), mma::shared_address(halo + stage * conv.halo_bytes()));
    Copies::commit();  // maybe of nothing: wait counts groups
  };
  const int next = static_cast<int>(gridDim.x);
  int index = static_cast<int>(blockIdx.x);
#pragma unroll
  for (int stage = 0; stage < halo_stages - 1; ++stage) queue(index + stage * next, stage);
#pragma unroll 4
  for (int i = tid; i < plan.steps * matrices * 64; i += HaloFprop::threads) {
    const int of_lane = i / 4 % 32, matrix = i / 128 % (matrices / 2) * 2 + i % 4 / 2;
    const int pair = i / (64 * matrices) * halo_pairs_per_step + i % 2 * 4 + of_lane % 4;
    reinterpret_cast<std::uint32_t*>(weights)[i] =
        weight_pair(conv, w, n_begin + halo_filter(matrix, of_lane / 4), filters, pair);
  }
  for (int i = tid; i < plan.steps * 4; i += HaloFprop::threads) {
    const int pair = i / 4 * halo_pairs_per_step + i % 4;
    const auto mask = [&](int of) {  // the odd one's neighbour is another window's: no weight makes Inf zero
      return (conv.column_of(of, 0) < 0 ? 0 : 0xffff) | (conv.column_of(of, 1) < 0 ? 0 : 0xffff << 16);
    };
    taps[i] = {4 * conv.pair_words(pair), 4 * conv.pair_words(pair + 4), mask(pair), mask(pair + 4)};
  }
  for (int i = tid; i < 16 * matrices; i += HaloFprop::threads) {
    const int n = n_begin + halo_filter(i / 16, i / 4 % 4 * 2 + i % 2);
    shared_bias[i] = bias != nullptr && n < filters ? bias[n] : 0.0f;
  }

  const int m_begin = tid / 32 * HaloFprop::warp_pixels;
  HaloPlace places[subtiles][2];  // of rows g and g + 8
#pragma unroll
  for (int i = 0; i < subtiles; ++i) {
    places[i][0] = halo_place(conv.begin(m_begin + 16 * i + g));
    places[i][1] = halo_place(conv.begin(m_begin + 16 * i + g + 8));
  }
  const std::int64_t eight_rows = 8 * std::int64_t{filters};
  int reading = 0, writing = halo_stages - 1;
  for (; index < conv.tiles; index += next) {
    Copies::template wait<halo_stages - 2>();
    __syncthreads();  // this tile's halo has arrived, and no thread reads the previous one
    queue(index + (halo_stages - 1) * next, writing);
    const HaloTile tile = conv.tile(index);
    if (m_begin < tile.pixels) {
      const std::byte* from = halo + reading * conv.halo_bytes();
      float sums[subtiles][matrices][4];
      const auto add_step = [&](int step) {
        const int4 tap = taps[step * 4 + t];
        uint4 b[matrices / 2];
#pragma unroll
        for (int j = 0; j < matrices / 2; ++j) b[j] = weights[(step * (matrices / 2) + j) * 32 + lane];
#pragma unroll
        for (int i = 0; i < subtiles; ++i) {
          const auto a = [&](int half, int offset, int mask) {
            return gathered_pair<AcrossWords>(from, places[i][half], offset) & static_cast<unsigned>(mask);
          };
          const std::uint32_t a0 = a(0, tap.x, tap.z), a1 = a(1, tap.x, tap.z);
          const std::uint32_t a2 = a(0, tap.y, tap.w), a3 = a(1, tap.y, tap.w);
#pragma unroll
          for (int j = 0; j < matrices / 2; ++j) {
            Element::multiply(sums[i][2 * j], a0, a1, a2, a3, b[j].x, b[j].y);
            Element::multiply(sums[i][2 * j + 1], a0, a1, a2, a3, b[j].z, b[j].w);
          }
        }
      };
#pragma unroll
      for (int j = 0; j < matrices; ++j) {
        const float4 add = reinterpret_cast<const float4*>(shared_bias)[4 * j + t];
#pragma unroll
        for (int i = 0; i < subtiles; ++i) {
          sums[i][j][0] = add.x, sums[i][j][1] = add.y, sums[i][j][2] = add.z, sums[i][j][3] = add.w;
        }
      }
      add_step(0);  // peeled off the loop: here sums still lie in the registers they began in
#pragma unroll 1
      for (int step = 1; step < plan.steps; ++step) add_step(step);
      if (activation.slope != 1.0f) {
#pragma unroll
        for (auto& of_rows : sums) {
#pragma unroll
          for (auto& of_columns : of_rows) {
#pragma unroll
            for (float& sum : of_columns) sum = activation.f(sum);
          }
        }
      }
      Stored* row = y + std::int64_t{conv.first_pixel(tile) + m_begin + g} * filters + n_begin + 8 * t;
#pragma unroll
      for (int i = 0; i < subtiles * 2; ++i, row += eight_rows) {
        if (m_begin + 8 * i + g >= tile.pixels) continue;
#pragma unroll
        for (int group = 0; group < Groups; ++group) {
          Pack<8> values;
#pragma unroll
          for (int j = 0; j < 8; ++j) values.v[j] = sums[i / 2][4 * group + j / 2][i % 2 * 2 + j % 2];
          if (n_begin + 32 * group + 8 * t < filters) store<8>(row + 32 * group, 0, values);
        }
      }
    }
    reading = reading + 1 == halo_stages ? 0 : reading + 1;
    writing = writing + 1 == halo_stages ? 0 : writing + 1;
  }
}

/// dw (splits, K, taps·C): partial z sums tiles [z·chunk, (z+1)·chunk) of dy (pixels,K)ᵀ gather(x) (pixels,
/// taps·C). A block: 32·Groups filters (blockIdx.x) of a partial (blockIdx.y). Warps that share columns add
/// up in an order that follows from the filter.
template <class Element, int Groups, bool AcrossWords>
__global__ void __launch_bounds__(32 * HaloWgrad::most_warps)
    halo_wgrad_kernel(const __grid_constant__ HaloWgrad plan, const typename Element::Stored* __restrict__ x,
                      const typename Element::Stored* __restrict__ dy, float* __restrict__ dw, int filters) {
  using Stored = typename Element::Stored;
  using Copies = typename Element::Copies;
  constexpr int chunks = 4 * Groups;  // of a pixel of dy
  const HaloConv& conv = plan.conv;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, g = lane / 4, t = lane % 4;
  const int group = tid / 32 % plan.groups, pixel_lane = tid / 32 / plan.groups;
  const int n_begin = static_cast<int>(blockIdx.x) * 32 * Groups;
  std::byte* shared = mma::dynamic_shared();
  auto* begins = reinterpret_cast<int*>(shared + halo_stages * plan.stage_bytes());  // of a tile's pixels
  int index = static_cast<int>(blockIdx.y) * plan.chunk;
  const int end = min(index + plan.chunk, conv.tiles);
  const int chunk = tid % chunks, n = n_begin + 8 * chunk,
            pixels_at_once = static_cast<int>(blockDim.x) / chunks;
  const std::int64_t stride = std::int64_t{pixels_at_once} * filters;
  const auto queue = [&](int at, int stage) {
    if (at < end) {
      const HaloTile tile = conv.tile(at);
      const int pixels = n < filters ? tile.pixels : 0;
      const Stored* from = dy + std::int64_t{conv.first_pixel(tile) + tid / chunks} * filters + n;
      const std::uint32_t to = mma::shared_address(shared + stage * plan.stage_bytes());
#pragma unroll 1
      for (int m = tid / chunks; m < 16 * plan.pixel_steps(); m += pixels_at_once, from += stride) {
        Copies::copy(to + mma::columns_chunk<mma::NaturalOrder>(m, chunk, chunks) * mma::chunk_bytes, from,
                     m < pixels);
      }
      copy_halo<Copies>(conv, x, tile, to + plan.dy_bytes());
    }
    Copies::commit();  // maybe of nothing: wait counts groups
  };
#pragma unroll
  for (int stage = 0; stage < halo_stages - 1; ++stage) queue(index + stage, stage);
  for (int m = tid; m < plan.pixel_steps() * 16; m += static_cast<int>(blockDim.x)) begins[m] = conv.begin(m);

  float sums[2 * Groups][4][4] = {};  // 16 filters × 8 columns each
  int offsets[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) offsets[j] = 4 * conv.pair_words(group * HaloWgrad::group_pairs + 4 * j + t);
  int reading = 0, writing = halo_stages - 1;
  for (; index < end; ++index) {
    Copies::template wait<halo_stages - 2>();
    __syncthreads();  // this tile has arrived, and no thread reads the previous one
    queue(index + halo_stages - 1, writing);
    const std::byte* from = shared + reading * plan.stage_bytes();
    const std::byte* halo = from + plan.dy_bytes();
    for (int step = pixel_lane; step < plan.pixel_steps(); step += plan.lanes) {
      const HaloPlace low = halo_place(begins[16 * step + g]), high = halo_place(begins[16 * step + g + 8]);
      std::uint32_t b[4]
                     [2];  // a lane gathers the columns of one pixel; mma.sync takes the pixels of one column
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        b[j][0] = mma::transposed(gathered_pair<AcrossWords>(halo, low, offsets[j]));
        b[j][1] = mma::transposed(gathered_pair<AcrossWords>(halo, high, offsets[j]));
      }
      const int m = 16 * step + lane / 16 * 8 + lane % 8;
#pragma unroll
      for (int i = 0; i < 2 * Groups; ++i) {
        std::uint32_t a[4];
        const int at = mma::columns_chunk<mma::NaturalOrder>(m, 2 * i + lane / 8 % 2, chunks);
        mma::load_matrices_transposed(mma::shared_address(from + at * mma::chunk_bytes), a);
#pragma unroll
        for (int j = 0; j < 4; ++j) Element::multiply(sums[i][j], a[0], a[1], a[2], a[3], b[j][0], b[j][1]);
      }
    }
    reading = reading + 1 == halo_stages ? 0 : reading + 1;
    writing = writing + 1 == halo_stages ? 0 : writing + 1;
  }

  auto* shared_sums = reinterpret_cast<float*>(shared);  // (32·Groups, sums_per_filter)
  for (int turn = 0; turn < plan.lanes; ++turn) {
    __syncthreads();
    const int filters_of_turn = (pixel_lane + turn) % plan.lanes;  // no two lanes add to the same
#pragma unroll
    for (int i = 0; i < 4 * Groups; ++i) {
      if (i % plan.lanes != filters_of_turn) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        auto* to = reinterpret_cast<float2*>(shared_sums + (8 * i + g) * plan.sums_per_filter() +
                                             2 * HaloWgrad::group_pairs * group + 8 * j + 2 * t);
        float2 sum = {sums[i / 2][j][i % 2 * 2], sums[i / 2][j][i % 2 * 2 + 1]};
        if (turn > 0) sum.x += to->x, sum.y += to->y;
        *to = sum;
      }
    }
  }
  __syncthreads();
  float* partial = dw + (std::int64_t{blockIdx.y} * filters + n_begin) * conv.length;
  const int warps = static_cast<int>(blockDim.x) / 32, block_filters = min(32 * Groups, filters - n_begin);
  for (int filter = tid / 32; filter < block_filters; filter += warps) {
    for (int element = lane; element < 2 * conv.pairs; element += 32) {
      const int column = conv.column_of(element / 2, element % 2);
      if (column >= 0)
        partial[std::int64_t{filter} * conv.length + column] =
            shared_sums[filter * plan.sums_per_filter() + element];
    }
  }
}

}  // namespace convoy
