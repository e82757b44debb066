// 64 -> 64 channels, 3 x 3, stride 1, padding 1: all filters fit into shared memory (72 KiB) and stay there.
//
// One block per multiprocessor goes through tiles of 64 outputs x 256 pixels (strip.cuh). Its first warpgroup
// copies; two others take every second tile each and alternate ("ping-pong"): while one's 36 products run,
// the other rounds and stores its last tile and its next patch arrives. So the tensor cores always have work,
// and each warpgroup has a patch, a stage for its result, and 128 sums a thread to itself.
//
// A product of m64n256k16 reads 2 KiB of filters and 8 KiB of pixels in 128 clocks: 80 bytes a clock of the
// 128 that shared memory gives. A residual arrives in the stage while the products run, and a warpgroup
// normalises its patch while the other multiplies. With pixels on M and 64 filters on N the port would be the
// limit: 128 of 128.
#pragma once

#include "bench/probes/strip.cuh"

namespace convoy::probe {

template <class S>
struct ResidentLayout {
  static constexpr int groups = 2;  ///< consuming warpgroups
  static constexpr int threads = 128 * (groups + 1);
  // In bytes from the beginning of shared memory. What the copy engine swizzles begins at multiples of 1024
  // where it is not moved by whole rows.
  using TileStage = Stage<S, 4>;
  using Patches = PatchRing<S, groups>;
  static constexpr int filters = 0, stages = 9 * 64 * 128, patches = stages + groups * TileStage::bytes;
  static constexpr int barriers = patches + Patches::bytes, bytes = barriers + 64;
  static_assert(bytes <= 232448);
};

/// What extras read and write: `residual` has the result's shape; `coefficients` (64), `moments` (tiles,64).
struct ExtraTensors {
  CUtensorMap residual;
  const float2* coefficients;
  float2* moments;
};

/// source and result (N,Side,Side,64), filters (64,3,3,64).
template <class T, int Side, Pass pass, Extras extras>
__global__ void __launch_bounds__(384, 1)
    conv_resident_kernel(const __grid_constant__ CUtensorMap source,
                         const __grid_constant__ CUtensorMap filters,
                         const __grid_constant__ CUtensorMap result, int tiles,
                         const __grid_constant__ ExtraTensors tensors, LoopTime* time) {
  using S = Strip<Side>;
  using L = ResidentLayout<S>;
  extern __shared__ __align__(1024) std::byte shared[];
  const std::uint32_t base = shared_address(shared), ring = base + L::patches;
  const std::uint32_t filters_full = base + L::barriers, full = filters_full + 8,
                      empty = full + 8 * L::groups, residual_full = empty + 8 * L::groups;
  const int thread = static_cast<int>(threadIdx.x);
  const int role = __shfl_sync(~0u, thread / 128, 0);  // the same in a warp, which the compiler cannot see
  if (thread == 0) {
    init_barrier(filters_full, 1);
    for (int i = 0; i < L::groups; ++i) {
      init_barrier(full + 8 * i, 1), init_barrier(empty + 8 * i, 4);
      init_barrier(residual_full + 8 * i, 1);
    }
    publish_barriers();
  }
  L::Patches::clear_halos(ring);
  __syncthreads();

  const int first = static_cast<int>(blockIdx.x), stride = static_cast<int>(gridDim.x);
  const int count = first < tiles ? (tiles - first + stride - 1) / stride : 0;  // of this block
  if (role == 0) {
    give_registers<40>();
    if (thread == 0) {
      arrive_expecting(filters_full, 9 * FilterBox<pass>::bytes);
      for (int tap = 0; tap < 9; ++tap)
        load_box(base + L::filters + tap * FilterBox<pass>::bytes, filters, filters_full, 0, tap, 0);
      for (int i = 0; i < count; ++i) {
        const int group = i % L::groups;
        wait(empty + 8 * group, (i / L::groups & 1) ^ 1);
        arrive_expecting(full + 8 * group, L::Patches::patch_bytes);
        load_patch<S>(L::Patches::patch(ring, group), source, {}, full + 8 * group, 0, first + i * stride);
      }
    }
  } else {
    take_registers<232>();
    const int group = role - 1, turn = 1 + group,
              other_turn = 2 - group;  // hardware barriers: whose turn it is
    const std::uint32_t patch = L::Patches::patch(ring, group),
                        stage = base + L::stages + group * L::TileStage::bytes;
    float2 coefficients[8]{};
    if constexpr (extras & normalise_extra)
      for (int i = 0; i < 8; ++i) coefficients[i] = tensors.coefficients[thread % 8 * 8 + i];
    float sums[128] = {};
    wait(filters_full, 0);
    const LoopTimer timer;
    if (group == 1 && count > 0) arrive_threads(other_turn, 256);  // the first tile's turn
    for (int i = group; i < count; i += L::groups) {
      const int tile = first + i * stride;
      if ((extras & residual_extra) != 0 &&
          thread % 128 == 0) {  // the stage is empty once its last stores have read it
        wait_stores_read<0>();
        arrive_expecting(residual_full + 8 * group, S::tile_bytes);
        load_box(stage, tensors.residual, residual_full + 8 * group, 0, S::place(tile).w,
                 S::place(tile).image, 0);
      }
      wait(full + 8 * group, i / L::groups & 1);
      if constexpr (extras & normalise_extra) {  // while the other warpgroup's products run
        normalise_patch<T, S, Columns{}>(patch, tile, coefficients);
        sync_threads(3 + group, 128);
      }
      sync_threads(turn, 256);
      pin(sums);
      fence_products();
#pragma unroll
      for (int tap = 0; tap < 9; ++tap) {
        const int filter_tap = pass == Pass::fprop ? tap : 8 - tap;
        multiply_tap<T, pass>(sums, base + L::filters + filter_tap * FilterBox<pass>::bytes,
                              patch + S::tap_bytes({}, tap / 3 - 1, tap % 3 - 1), {}, tap > 0);
      }
      commit_products();
      if (i + 1 < count) arrive_threads(other_turn, 256);
      wait_products<0>();
      pin(sums);
      if (thread % 32 == 0) arrive(empty + 8 * group);
      if constexpr (extras & residual_extra) wait(residual_full + 8 * group, i / L::groups & 1);
      store_tile<T, S, typename L::TileStage, extras>(
          sums, result, stage, 3 + group, 0, tile, tensors.moments + static_cast<std::ptrdiff_t>(tile) * 64);
    }
    if (blockIdx.x == 0 && thread == 128) timer.write(time);
    if (thread % 128 == 0) wait_stores_done();
  }
}

}  // namespace convoy::probe
