// C -> C channels, C a multiple of 128, 3 x 3, stride 1, padding 1: the filters do not fit and stream through
// shared memory, one tap of 128 outputs x 64 channels (16 KiB) at a time.
//
// A block's item is 128 outputs x 256 pixels (strip.cuh); two warpgroups hold 64 outputs each and share
// patches and filters. For each 64 channels of what is summed there is one patch, and nine steps over its
// taps. One warp copies patches, another filters, each as far ahead as its ring allows. The warpgroups do not
// wait for each other: one may be as many steps ahead as the ring of filters is long, so that one's products
// run while the other stores its result.
//
// Blocks of a cluster of two take the same outputs and neighbouring pixels. Each copies half of every step's
// filters to both, which halves what is read from the L2 cache for them: of 147 KiB per 128 channels and
// tile, where patches are 41.
#pragma once

#include "bench/probes/strip.cuh"

namespace convoy::probe {

template <class S>
struct StreamedLayout {
  static constexpr int groups = 2, threads = 128 * (groups + 1);
  static constexpr int outputs = 64 * groups;  ///< of an item
  static constexpr int patch_count = 2, steps = 4;
  static constexpr int step_bytes = outputs * 128;
  static constexpr int filters = 0, stages = steps * step_bytes, patches = stages + groups * S::tile_bytes;
  static constexpr int barriers = patches + S::ring_bytes(patch_count);
  static constexpr int bytes = barriers + 16 * (patch_count + steps);
  static_assert(bytes <= 232448);
};

/// source and result (N,Side,Side,Channels), filters (Channels,3,3,Channels). A multiple of `Cluster` tiles.
/// `moments` (tiles,Channels) of the result, if WithMoments.
template <class T, int Side, int Channels, Pass pass, int Cluster, bool WithMoments>
__global__ void __launch_bounds__(384, 1)
    conv_streamed_kernel(const __grid_constant__ CUtensorMap source,
                         const __grid_constant__ CUtensorMap filters,
                         const __grid_constant__ CUtensorMap result, int tiles, float2* moments) {
  using S = Strip<Side>;
  using L = StreamedLayout<S>;
  using Box = FilterBox<pass>;
  constexpr int output_blocks = Channels / L::outputs, depth_blocks = Channels / 64;
  extern __shared__ __align__(1024) std::byte shared[];
  const std::uint32_t base = shared_address(shared), ring = base + L::patches;
  const std::uint32_t patch_full = base + L::barriers, patch_empty = patch_full + 8 * L::patch_count;
  const std::uint32_t step_full = patch_empty + 8 * L::patch_count, step_empty = step_full + 8 * L::steps;
  const int thread = static_cast<int>(threadIdx.x);
  const int role = __shfl_sync(~0u, thread / 128, 0), rank = Cluster > 1 ? cluster_rank() : 0;
  if (thread == 0) {
    for (int i = 0; i < L::patch_count; ++i) {
      init_barrier(patch_full + 8 * i, 1);
      init_barrier(patch_empty + 8 * i, 4 * L::groups);
    }
    for (int i = 0; i < L::steps; ++i) {
      init_barrier(step_full + 8 * i, 1);
      init_barrier(step_empty + 8 * i,
                   4 * L::groups * Cluster);  // the filters lie in all blocks of the cluster
    }
    publish_barriers();
  }
  clear_halos<S>(ring, L::patch_count);
  if constexpr (Cluster > 1)
    sync_cluster();
  else
    __syncthreads();

  // Items of the cluster: neighbours differ in outputs first, so that blocks that run side by side share
  // patches.
  const int items = tiles / Cluster * output_blocks, stride = static_cast<int>(gridDim.x) / Cluster;
  const int first = static_cast<int>(blockIdx.x) / Cluster;
  const auto tile_of = [&](int item) { return item / output_blocks * Cluster + rank; };
  if (role == 0) {
    give_registers<40>();
    if (thread == 0) {
      Ring at_patch;
      for (int item = first; item < items; item += stride) {
        for (int block = 0; block < depth_blocks; ++block) {
          const std::uint32_t full = patch_full + 8 * at_patch.stage;
          wait(patch_empty + 8 * at_patch.stage, at_patch.parity ^ 1);
          arrive_expecting(full, S::patch_bytes);
          load_patch<S>(patch_address<S>(ring, at_patch.stage), source, full, block * 64, tile_of(item));
          at_patch.advance(L::patch_count);
        }
      }
    } else if (thread == 32) {
      Ring at_step;
      for (int item = first; item < items; item += stride) {
        const int output = item % output_blocks * L::outputs;
        for (int step = 0; step < depth_blocks * 9; ++step) {
          const int depth = step / 9 * 64, tap = Box::tap(step % 9);
          const std::uint32_t full = step_full + 8 * at_step.stage,
                              to = base + L::filters + at_step.stage * L::step_bytes;
          wait(step_empty + 8 * at_step.stage, at_step.parity ^ 1);
          arrive_expecting(full, L::step_bytes);
          for (int group = Cluster > 1 ? rank : 0; group < L::groups; group += Cluster) {
            const int channel = pass == Pass::fprop ? depth : output + 64 * group;
            const int filter = pass == Pass::fprop ? output + 64 * group : depth;
            if constexpr (Cluster > 1)
              load_box_to_cluster(to + group * Box::bytes, filters, full, (1 << Cluster) - 1, channel, tap,
                                  filter);
            else
              load_box(to + group * Box::bytes, filters, full, channel, tap, filter);
          }
          at_step.advance(L::steps);
        }
      }
    }
  } else {
    take_registers<232>();
    const int group = role - 1;
    const bool arrives = thread % 32 == 0;
    const auto release_step = [&](int stage) {
      if (!arrives) return;
      for (int block = 0; block < Cluster; ++block) {
        if constexpr (Cluster > 1)
          arrive_in_cluster(step_empty + 8 * stage, block);
        else
          arrive(step_empty + 8 * stage);
      }
    };
    float sums[128] = {};
    pin(sums);
    Ring at_patch, at_step;
    for (int item = first; item < items; item += stride) {
      int last_step = 0, last_patch = 0;  // what the products under way read
      for (int block = 0; block < depth_blocks; ++block) {
        const std::uint32_t patch = patch_address<S>(ring, at_patch.stage);
        wait(patch_full + 8 * at_patch.stage, at_patch.parity);
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
          wait(step_full + 8 * at_step.stage, at_step.parity);
          fence_products();
          multiply_tap<T, S, pass>(sums,
                                   base + L::filters + at_step.stage * L::step_bytes + group * Box::bytes,
                                   patch + S::tap_bytes(tap), tap > 0 || block > 0);
          commit_products();
          wait_products<1>();  // the products of the step before are done
          if (tap > 0 || block > 0) release_step(last_step);
          if (tap == 0 && block > 0 && arrives) arrive(patch_empty + 8 * last_patch);
          last_step = at_step.stage;
          at_step.advance(L::steps);
        }
        last_patch = at_patch.stage;
        at_patch.advance(L::patch_count);
      }
      wait_products<0>();
      pin(sums);
      release_step(last_step);
      if (arrives) arrive(patch_empty + 8 * last_patch);
      const int tile = tile_of(item), output = item % output_blocks * L::outputs + 64 * group;
      store_tile<T, S, WithMoments>(sums, result, base + L::stages + group * S::tile_bytes, 1 + group, output,
                                    tile, moments + static_cast<std::ptrdiff_t>(tile) * Channels + output);
    }
    if (thread % 128 == 0) wait_stores_done();
  }
  __syncwarp();
  if constexpr (Cluster > 1) sync_cluster();  // the other block may still copy to this one
}

}  // namespace convoy::probe
