// dgrad of 3 x 3, padding 1, stride 2, with 64 outputs (the channels of x) and few channels of dy: what a
// network's second stage gives back to its first.
//
// The result has four classes of pixels by the parity of row and column (walks.cuh), which read one to four
// taps of the same patch. So a patch with all channels of dy stays in shared memory while its four classes
// are computed, one after the other. A block's item is two tiles of dy: each of two warpgroups computes 4 x
// 256 pixels of one of them, and both share the filters, which stream through a ring of steps of one tap x 64
// channels of dy (8 KiB).
#pragma once

#include "bench/probes/conv_streamed.cuh"

namespace convoy::probe {

template <int Side, int Depth>
struct Stride2DgradLayout {
  using S = Strip<Side>;
  using Walk = Stride2Dgrad<Side>;
  using TileStage = Stage<S, 2>;
  static constexpr int groups = 2, threads = 128 * (groups + 1), depth_blocks = Depth / 64;
  static constexpr Columns columns = Walk::columns(0);
  /// A warpgroup's patches follow each other.
  using Patches = PatchRing<S, groups * depth_blocks, columns, Halo::below>;
  static constexpr int step_bytes = FilterBox<Pass::dgrad>::bytes, limit = 232448;
  static constexpr int stages = 0, filters = groups * TileStage::bytes;
  static constexpr int steps = (limit - filters - Patches::bytes - 256) / step_bytes;
  static constexpr int patches = filters + steps * step_bytes, barriers = patches + Patches::bytes;
  static constexpr int bytes = barriers + 16 * (Patches::slots + steps);
  static_assert(bytes <= limit && steps >= 3);
};

/// Products of one tile, by one of the block's warpgroups.
template <class T, class L>
struct Stride2DgradConsumer {
  using S = typename L::S;
  std::uint32_t base, patch_full, patch_empty, step_full, step_empty;
  int group;
  std::uint32_t patch_parity;
  Ring at_step;

  __device__ __forceinline__ static void release(std::uint32_t barrier) {
    if (threadIdx.x % 32 == 0) arrive(barrier);
  }

  template <int cls>
  __device__ __forceinline__ void multiply_class(float (&sums)[128]) {
    constexpr bool first_class = cls == 0, last_class = cls + 1 == L::Walk::classes;
    int last_step = 0;  // what the products under way read
    pin(sums);
#pragma unroll
    for (int block = 0; block < L::depth_blocks; ++block) {
      const int slot = group * L::depth_blocks + block;
      const std::uint32_t pixels = L::Patches::patch(base + L::patches, slot);
      if constexpr (first_class) wait(patch_full + 8 * slot, patch_parity);
#pragma unroll
      for (int i = 0; i < L::Walk::taps(cls, 0); ++i) {
        const Tap tap = L::Walk::tap(cls, 0, i);
        const bool begun = block > 0 || i > 0;
        wait(step_full + 8 * at_step.stage, at_step.parity);
        fence_products();
        multiply_tap<T, Pass::dgrad>(sums, base + L::filters + at_step.stage * L::step_bytes,
                                     pixels + S::tap_bytes(L::columns, tap.h, tap.w), L::columns, begun);
        commit_products();
        wait_products<1>();
        if (begun) release(step_empty + 8 * last_step);
        if (last_class && i == 0 && begun) release(patch_empty + 8 * (slot - 1));
        last_step = at_step.stage;
        at_step.advance(L::steps);
      }
    }
    wait_products<0>();
    pin(sums);
    release(step_empty + 8 * last_step);
    if constexpr (last_class) release(patch_empty + 8 * ((group + 1) * L::depth_blocks - 1));
  }
};

/// dy (N,Side,Side,Depth), filters (Depth,3,3,64), dx (N,2 Side,2 Side,64) by parity of rows and columns. An
/// even number of tiles.
template <class T, int Side, int Depth>
__global__ void __launch_bounds__(384, 1)
    conv_stride2_dgrad_kernel(const __grid_constant__ CUtensorMap dy,
                              const __grid_constant__ CUtensorMap filters, const __grid_constant__ Maps<4> dx,
                              int tiles, LoopTime* time) {
  using L = Stride2DgradLayout<Side, Depth>;
  using S = typename L::S;
  using Walk = typename L::Walk;
  extern __shared__ __align__(1024) std::byte shared[];
  const std::uint32_t base = shared_address(shared);
  const std::uint32_t patch_full = base + L::barriers, patch_empty = patch_full + 8 * L::Patches::slots;
  const std::uint32_t step_full = patch_empty + 8 * L::Patches::slots, step_empty = step_full + 8 * L::steps;
  const int thread = static_cast<int>(threadIdx.x);
  const int role = __shfl_sync(~0u, thread / 128, 0);
  if (thread == 0) {
    for (int i = 0; i < L::Patches::slots; ++i)
      init_barrier(patch_full + 8 * i, 1), init_barrier(patch_empty + 8 * i, 4);
    for (int i = 0; i < L::steps; ++i)
      init_barrier(step_full + 8 * i, 1), init_barrier(step_empty + 8 * i, 4 * L::groups);
    publish_barriers();
  }
  L::Patches::clear_halos(base + L::patches);
  __syncthreads();

  const int items = tiles / L::groups, first = static_cast<int>(blockIdx.x),
            stride = static_cast<int>(gridDim.x);
  if (role == 0) {
    give_registers<40>();
    if (thread == 0) {
      std::uint32_t parity = 1;
      for (int item = first; item < items; item += stride, parity ^= 1) {
        for (int slot = 0; slot < L::Patches::slots; ++slot) {
          const int tile = item * L::groups + slot / L::depth_blocks, channel = slot % L::depth_blocks * 64;
          wait(patch_empty + 8 * slot, parity);
          arrive_expecting(patch_full + 8 * slot, S::patch_bytes(L::columns));
          load_patch<S>(L::Patches::patch(base + L::patches, slot), dy, L::columns, patch_full + 8 * slot,
                        channel, tile);
        }
      }
    } else if (thread == 32) {
      Ring at_step;
      for (int item = first; item < items; item += stride) {
        for (int i = 0; i < Walk::classes * L::depth_blocks; ++i) {
          const int cls = i / L::depth_blocks;
          for (int tap = 0; tap < Walk::taps(cls, 0); ++tap) {
            const std::uint32_t full = step_full + 8 * at_step.stage;
            wait(step_empty + 8 * at_step.stage, at_step.parity ^ 1);
            arrive_expecting(full, L::step_bytes);
            load_box(base + L::filters + at_step.stage * L::step_bytes, filters, full, 0,
                     Walk::tap(cls, 0, tap).filter, i % L::depth_blocks * 64);
            at_step.advance(L::steps);
          }
        }
      }
    }
  } else {
    take_registers<232>();
    const int group = role - 1;
    Stride2DgradConsumer<T, L> consumer{base, patch_full, patch_empty, step_full, step_empty, group, 0, {}};
    float sums[128] = {};
    const LoopTimer timer;
    for (int item = first; item < items; item += stride, consumer.patch_parity ^= 1) {
      const auto do_class = [&](auto cls) {
        consumer.template multiply_class<cls>(sums);
        store_tile<T, S, typename L::TileStage, 0>(sums, dx.map[cls],
                                                   base + L::stages + group * L::TileStage::bytes, 1 + group,
                                                   0, item * L::groups + group, nullptr);
      };
      do_class(std::integral_constant<int, 0>{});
      do_class(std::integral_constant<int, 1>{});
      do_class(std::integral_constant<int, 2>{});
      do_class(std::integral_constant<int, 3>{});
    }
    if (blockIdx.x == 0 && thread == 128) timer.write(time);
    if (thread % 128 == 0) wait_stores_done();
  }
}

}  // namespace convoy::probe
