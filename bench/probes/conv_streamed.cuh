// 3 x 3, padding 1, any multiple of 64 channels summed and of 128 outputs: the filters do not fit into shared
// memory and stream through it, one tap of 128 outputs x 64 channels (16 KiB) at a time.
//
// A block's item is 128 outputs x 256 pixels (strip.cuh); two warpgroups hold 64 outputs each and share
// patches and filters. For each 64 channels of what is summed it takes patches and steps over their taps
// (walks.cuh). One warp copies patches, another filters, each as far ahead as its ring allows. The warpgroups
// do not wait for each other: one may be as many steps ahead as the ring of filters is long.
//
// Measured and left out, since they gained nothing (README.md): a cluster of two blocks that share filters by
// multicast; a second warpgroup that begins some steps later; patches brought into the L2 cache an item
// ahead.
#pragma once

#include "bench/probes/walks.cuh"

namespace convoy::probe {

template <class Walk>
struct StreamedLayout {
  using S = typename Walk::S;
  using TileStage = Stage<S, 2>;
  static constexpr int groups = 2, threads = 128 * (groups + 1);
  static constexpr int outputs = 64 * groups;  ///< of an item
  using Patches = typename Walk::Patches;
  static constexpr int patch_slots = Patches::slots;
  static constexpr int step_bytes = outputs * 128, limit = 232448;
  static constexpr int stages = 0, filters = groups * TileStage::bytes;
  static constexpr int steps = (limit - filters - Patches::bytes - 256) / step_bytes;  ///< as many as fit
  static constexpr int patches = filters + steps * step_bytes, barriers = patches + Patches::bytes;
  static constexpr int bytes = barriers + 16 * (patch_slots + steps);
  static_assert(bytes <= limit && steps >= 3);
};

/// Tensor maps that a walk picks from.
template <int Count>
struct Maps {
  CUtensorMap map[Count];
};

/// Products of one item's class over its steps, by one of the block's warpgroups.
template <class T, class Walk, Pass pass, int DepthBlocks>
struct Consumer {
  using L = StreamedLayout<Walk>;
  using S = typename Walk::S;
  std::uint32_t base, patch_full, patch_empty, step_full, step_empty;
  int group;
  Ring at_patch, at_step;

  __device__ __forceinline__ void release_step(int stage) const {
    if (threadIdx.x % 32 == 0) arrive(step_empty + 8 * stage);
  }
  __device__ __forceinline__ void release_patch(int slot) const {
    if (threadIdx.x % 32 == 0) arrive(patch_empty + 8 * slot);
  }

  template <int cls>
  __device__ __forceinline__ void multiply_class(float (&sums)[128]) {
    int last_step = 0, last_patch = 0;  // what the products under way read
    pin(sums);
    for (int block = 0; block < DepthBlocks; ++block) {
#pragma unroll
      for (int patch = 0; patch < Walk::patches(cls); ++patch) {
        const Columns columns = Walk::columns(Walk::source(cls, patch));
        wait(patch_full + 8 * at_patch.stage, at_patch.parity);
        const std::uint32_t pixels = L::Patches::patch(base + L::patches, at_patch.stage);
#pragma unroll
        for (int i = 0; i < Walk::taps(cls, patch); ++i) {
          const Tap tap = Walk::tap(cls, patch, i);
          const bool begun = patch > 0 || i > 0 || block > 0;
          wait(step_full + 8 * at_step.stage, at_step.parity);
          fence_products();
          multiply_tap<T, pass>(
              sums, base + L::filters + at_step.stage * L::step_bytes + group * FilterBox<pass>::bytes,
              pixels + S::tap_bytes(columns, tap.h, tap.w), columns, begun);
          commit_products();
          wait_products<1>();  // the products of the step before are done
          if (begun) release_step(last_step);
          if (i == 0 && begun) release_patch(last_patch);
          last_step = at_step.stage;
          at_step.advance(L::steps);
        }
        last_patch = at_patch.stage;
        at_patch.advance(L::patch_slots);
      }
    }
    wait_products<0>();
    pin(sums);
    release_step(last_step);
    release_patch(last_patch);
  }
};

/// source (N,h,w,Depth), result (N,h,w,Outputs); filters (K,3,3,C), in fprop C = Depth, in dgrad C = Outputs.
/// Tiles of the result (of a class). `moments` (tiles,Outputs) of the result.
template <class T, class Walk, int Depth, int Outputs, Pass pass, Extras extras>
__global__ void __launch_bounds__(384, 1)
    conv_streamed_kernel(const __grid_constant__ Maps<Walk::sources> source,
                         const __grid_constant__ CUtensorMap filters,
                         const __grid_constant__ Maps<Walk::classes> result, int tiles, float2* moments,
                         LoopTime* time) {
  using L = StreamedLayout<Walk>;
  using S = typename Walk::S;
  constexpr int output_blocks = Outputs / L::outputs, depth_blocks = Depth / 64,
                box_bytes = FilterBox<pass>::bytes;
  static_assert(Outputs % L::outputs == 0 && Depth % 64 == 0 && ((extras & ~moments_extra) == 0) &&
                (extras == 0 || Walk::classes == 1));
  extern __shared__ __align__(1024) std::byte shared[];
  const std::uint32_t base = shared_address(shared);
  const std::uint32_t patch_full = base + L::barriers, patch_empty = patch_full + 8 * L::patch_slots;
  const std::uint32_t step_full = patch_empty + 8 * L::patch_slots, step_empty = step_full + 8 * L::steps;
  const int thread = static_cast<int>(threadIdx.x);
  const int role = __shfl_sync(~0u, thread / 128, 0);
  if (thread == 0) {
    for (int i = 0; i < L::patch_slots; ++i) {
      init_barrier(patch_full + 8 * i, 1);
      init_barrier(patch_empty + 8 * i, 4 * L::groups);
    }
    for (int i = 0; i < L::steps; ++i) {
      init_barrier(step_full + 8 * i, 1);
      init_barrier(step_empty + 8 * i, 4 * L::groups);
    }
    publish_barriers();
  }
  L::Patches::clear_halos(base + L::patches);
  __syncthreads();

  // Neighbours differ in outputs first, so that blocks that run side by side share patches.
  const int items = tiles * output_blocks, stride = static_cast<int>(gridDim.x);
  const int first = static_cast<int>(blockIdx.x);
  const auto tile_of = [](int item) { return item / output_blocks; };
  if (role == 0) {
    give_registers<40>();
    if (thread == 0) {
      Ring at_patch;
      for (int item = first; item < items; item += stride) {
        for (int i = 0; i < Walk::classes * depth_blocks; ++i) {
          for (int patch = 0; patch < Walk::patches(i / depth_blocks); ++patch) {
            const std::uint32_t full = patch_full + 8 * at_patch.stage;
            wait(patch_empty + 8 * at_patch.stage, at_patch.parity ^ 1);
            const int from = Walk::source(i / depth_blocks, patch);
            const Columns columns = Walk::columns(from);
            arrive_expecting(full, S::patch_bytes(columns));
            load_patch<S>(L::Patches::patch(base + L::patches, at_patch.stage), source.map[from], columns,
                          full, i % depth_blocks * 64, tile_of(item));
            at_patch.advance(L::patch_slots);
          }
        }
      }
    } else if (thread == 32) {
      Ring at_step;
      const auto load_step = [&](int output, int depth, int tap) {
        const std::uint32_t full = step_full + 8 * at_step.stage,
                            to = base + L::filters + at_step.stage * L::step_bytes;
        wait(step_empty + 8 * at_step.stage, at_step.parity ^ 1);
        arrive_expecting(full, L::step_bytes);
        for (int group = 0; group < L::groups; ++group) {
          const int channel = pass == Pass::fprop ? depth : output + 64 * group;
          const int filter = pass == Pass::fprop ? output + 64 * group : depth;
          load_box(to + group * box_bytes, filters, full, channel, tap, filter);
        }
        at_step.advance(L::steps);
      };
      for (int item = first; item < items; item += stride) {
        for (int i = 0; i < Walk::classes * depth_blocks; ++i) {
          const int cls = i / depth_blocks;
          for (int patch = 0; patch < Walk::patches(cls); ++patch) {
            for (int tap = 0; tap < Walk::taps(cls, patch); ++tap)
              load_step(item % output_blocks * L::outputs, i % depth_blocks * 64,
                        Walk::tap(cls, patch, tap).filter);
          }
        }
      }
    }
  } else {
    take_registers<232>();
    const int group = role - 1;
    Consumer<T, Walk, pass, depth_blocks> consumer{base,       patch_full, patch_empty, step_full,
                                                   step_empty, group,      {},          {}};
    float sums[128] = {};
    const LoopTimer timer;
    for (int item = first; item < items; item += stride) {
      const int tile = tile_of(item), output = item % output_blocks * L::outputs + 64 * group;
      const auto do_class = [&](auto cls) {
        consumer.template multiply_class<cls>(sums);
        store_tile<T, S, typename L::TileStage, extras>(
            sums, result.map[cls], base + L::stages + group * L::TileStage::bytes, 1 + group, output, tile,
            moments + static_cast<std::ptrdiff_t>(tile) * Outputs + output);
      };
      do_class(std::integral_constant<int, 0>{});
      if constexpr (Walk::classes == 4) {
        do_class(std::integral_constant<int, 1>{});
        do_class(std::integral_constant<int, 2>{});
        do_class(std::integral_constant<int, 3>{});
      }
    }
    if (blockIdx.x == 0 && thread == 128) timer.write(time);
    if (thread % 128 == 0) wait_stores_done();
  }
}

}  // namespace convoy::probe
