// wgrad by warpgroups: dw (K, taps·C) = dy (pixels,K)ᵀ gather(x), computed as (channels × filters) per tap
// over a range of pixels. x is copied once for all taps of a block, as a patch (index/patch.h), and reaches
// the tensor cores through registers; dy lies in shared memory.
#pragma once

#include "core/ceil_div.h"
#include "kernels/conv/cuda/kernels.cuh"
#include "kernels/conv/cuda/wgmma/layout.h"
#include "kernels/cuda/mbarrier.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace convoy {

/// The kernel of `Shape`.
template <class Element_, PatchWgradTile Shape>
struct PatchWgradKernel {
  using Element = Element_;
  using Stored = typename Element::Stored;
  static constexpr PatchWgradTile shape = Shape;
  static constexpr int pixels = Shape.pixels, stages = Shape.stages, tap_run = Shape.tap_run,
                       columns = Shape.columns;
  static constexpr int threads = 128 * Shape.groups();  ///< that multiply
  static constexpr int block_threads = Shape.threads(), producers = block_threads - threads;
  /// Products waited for together: of all taps of a run, or of two sixteens of pixels.
  static constexpr int k_run = tap_run > 1 ? 1 : 2;
  // Registers per thread: of all at the start, then of those that copy and those that multiply.
  static constexpr int entry_registers = std::min(65536 / block_threads / 8 * 8, 240),
                       producer_registers = 32;
  static constexpr int consumer_registers =
      std::min(((Shape.groups() + 1) * entry_registers - producer_registers) / Shape.groups() / 8 * 8, 240);
};

/// What a block sums.
struct PatchWgradBlock {
  int first_filter, first_channel, first_tap;
  int begin, end;  ///< pixels
};

/// The work of the copying warps: x's patch, dy and the table of windows of one step at a time.
template <class Kernel, class T>
__device__ __forceinline__ void produce(const PatchedGather<T>& source, const PixelColumns<T>& dy,
                                        const PatchWgradLayout& layout, const PatchWgradBlock& block) {
  constexpr int under_way = Kernel::stages - 2;
  constexpr int planes = Kernel::shape.channels() / 8, stride = Kernel::producers / planes;  // pixels at once
  constexpr int dy_planes = Kernel::shape.filters() / 8, dy_stride = Kernel::producers / dy_planes;
  static_assert(Kernel::producers % planes == 0 && Kernel::producers % dy_planes == 0);
  const int tid = static_cast<int>(threadIdx.x) - Kernel::threads;
  const int plane = tid % planes, first = tid / planes, dy_plane = tid % dy_planes,
            dy_first = tid / dy_planes;
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  const StageRing ring(base + layout.barriers, Kernel::stages);
  const int channels = source.gather.channels, channel = block.first_channel + plane * 8,
            filter = block.first_filter + dy_plane * 8;
  const bool in_channels = channel < channels;
  const T* x = source.gather.source + (in_channels ? channel : 0);
  const T* dy_from = dy.dy + (filter < dy.filters ? filter : 0);
  StageCursor writing, arriving;
  int begun = 0;
  const auto arrive = [&] {
    wgmma::publish_shared();
    ring.arrive_full(arriving.stage);
    arriving.advance(Kernel::stages);
  };
  for (int pixel = block.begin; pixel < block.end; pixel += Kernel::pixels) {
    const PixelRun patch = source.patch(pixel, Kernel::pixels);
    const int patch_pixels = patch.end - patch.begin, stage_begin = writing.stage * layout.stage;
    ring.wait_empty(writing.stage, writing.lap);
    const T* from = x + std::int64_t{patch.begin + first} * channels;
    std::uint32_t to = base + stage_begin + plane * layout.plane + first * patch_chunk;
#pragma unroll 4
    for (int i = first; i < patch_pixels; i += stride) {
      mma::AsyncCopies::copy(to, from, in_channels);
      from += stride * channels;
      to += stride * patch_chunk;
    }
    const int last = filter < dy.filters ? block.end - pixel : 0;  // the pixels that are there
    from = dy_from + std::int64_t{pixel + dy_first} * dy.filters;
    to = base + stage_begin + layout.filters + dy_plane * layout.filter_plane + dy_first * patch_chunk;
#pragma unroll 4
    for (int i = dy_first; i < Kernel::pixels; i += dy_stride) {
      mma::AsyncCopies::copy(to, i < last ? from : dy.dy, i < last);
      from += dy_stride * dy.filters;
      to += dy_stride * patch_chunk;
    }
    auto* windows = reinterpret_cast<PatchWindow*>(shared + stage_begin + layout.windows);
    for (int i = tid; i < Kernel::pixels; i += Kernel::producers) {
      PatchWindow window = source.window(pixel + i);
      if (pixel + i >= block.end) window.valid_mask = 0;
      window.first = (window.first - patch.begin) * patch_chunk;
      windows[i] = window;
    }
    mma::AsyncCopies::commit();
    writing.advance(Kernel::stages);
    if (++begun > under_way) {
      mma::AsyncCopies::wait<under_way>();
      arrive();
    }
  }
  mma::AsyncCopies::wait<0>();
  for (int i = min(begun, under_way); i > 0; --i) arrive();
}

/// Block x: filters within channels within taps; block y: pixels [y·chunk, (y+1)·chunk) into partial y of dw
/// (splits,K,taps·C).
template <class Kernel>
__global__ void __launch_bounds__(Kernel::block_threads, 1)
    patch_wgrad_kernel(const __grid_constant__ Gather<typename Kernel::Stored> x, int source_pixels,
                       const __grid_constant__ PixelColumns<typename Kernel::Stored> dy, float* dw, int chunk,
                       const __grid_constant__ PatchWgradLayout layout) {
  using Element = typename Kernel::Element;
  constexpr PatchWgradTile shape = Kernel::shape;
  constexpr int k_run = Kernel::k_run, runs = Kernel::pixels / 16 / k_run;
  const PatchedGather<typename Kernel::Stored> source{x, source_pixels};
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, group = tid / 128, warp = tid / 32 % 4;
  const int filter_blocks = ceil_div(dy.filters, shape.filters()),
            channel_blocks = ceil_div(x.channels, shape.channels());
  const int tile = static_cast<int>(blockIdx.x), split = static_cast<int>(blockIdx.y);
  const PatchWgradBlock block{tile % filter_blocks * shape.filters(),
                              tile / filter_blocks % channel_blocks * shape.channels(),
                              tile / filter_blocks / channel_blocks * shape.taps(), split * chunk,
                              min(split * chunk + chunk, x.rows)};
  std::byte* shared = mma::dynamic_shared();
  const std::uint32_t base = mma::shared_address(shared);
  auto* tap_table = reinterpret_cast<PatchTap*>(shared + layout.taps);
  const StageRing ring(base + layout.barriers, Kernel::stages);

  if (tid == 0) ring.init(Kernel::producers, Kernel::threads);
  for (int i = tid; i < shape.taps(); i += Kernel::block_threads) {
    PatchTap tap{0, 1u << 31, 0};  // beyond the last tap: a bit that no window has
    if (block.first_tap + i < x.taps) tap = source.tap(block.first_tap + i);
    tap.offset *= patch_chunk;
    tap_table[i] = tap;
  }
  constexpr int planes = shape.channels() / 8;
  for (int i = tid; i < Kernel::stages * planes; i += Kernel::block_threads) {
    std::byte* plane = shared + i / planes * layout.stage + i % planes * layout.plane;
    *reinterpret_cast<uint4*>(plane + layout.zeros()) = make_uint4(0, 0, 0, 0);
  }
  __syncthreads();

  if (tid >= Kernel::threads) {
    give_registers<Kernel::producer_registers>();
    produce<Kernel>(source, dy, layout, block);
  } else {
    take_registers<Kernel::consumer_registers>();
    const int tap_begin = group % shape.tap_groups * Kernel::tap_run,
              filter_begin = group / shape.tap_groups % shape.filter_groups * Kernel::columns,
              channel_begin = group / shape.tap_groups / shape.filter_groups * 64;
    float sums[Kernel::tap_run][Kernel::columns / 8][4] = {};
    wgmma::pin(sums);
    std::uint32_t a[2][k_run][Kernel::tap_run][4];
    PatchTap taps[Kernel::tap_run];
#pragma unroll
    for (int i = 0; i < Kernel::tap_run; ++i) taps[i] = tap_table[tap_begin + i];

    // This lane's address in ldmatrix: a pixel of the sixteen, and which eight of the warp's sixteen
    // channels.
    const int lane_pixel = lane / 16 * 8 + lane % 8;
    const std::uint32_t lane_base = base + (channel_begin / 8 + warp * 2 + lane / 8 % 2) * layout.plane;
    const std::uint32_t dy_base = base + layout.filters + filter_begin / 8 * layout.filter_plane;
    StageCursor reading;
    int last_stage = -1;
    for (int pixel = block.begin; pixel < block.end; pixel += Kernel::pixels) {
      const int begin = reading.stage * layout.stage;
      const auto* windows =
          reinterpret_cast<const PatchWindow*>(shared + begin + layout.windows) + lane_pixel;
      const wgmma::Matrices b(dy_base + begin, 8 * patch_chunk, layout.filter_plane);
      const std::uint32_t patch = lane_base + begin;
      ring.wait_full(reading.stage, reading.lap);
#pragma unroll
      for (int run = 0; run < runs; ++run) {
        wgmma::wait<1>();  // products that read the registers written now are done
#pragma unroll
        for (int k = 0; k < k_run; ++k) {
          const PatchWindow window = windows[(run * k_run + k) * 16];
#pragma unroll
          for (int i = 0; i < Kernel::tap_run; ++i) {
            const bool inside = (window.valid_mask & taps[i].required_mask) == taps[i].required_mask;
            mma::load_matrices_transposed(patch + (inside ? window.first + taps[i].offset : layout.zeros()),
                                          a[run % 2][k][i]);
          }
        }
        wgmma::fence();
#pragma unroll
        for (int k = 0; k < k_run; ++k) {
#pragma unroll
          for (int i = 0; i < Kernel::tap_run; ++i) {
            wgmma::multiply<Element, true, Kernel::columns>(
                sums[i], a[run % 2][k][i], b.descriptor((run * k_run + k) * 16 * patch_chunk));
          }
        }
        wgmma::commit();
        if (run == 1 && last_stage >= 0)
          ring.arrive_empty(last_stage);  // the stage of the previous step is free now
      }
      last_stage = reading.stage;
      reading.advance(Kernel::stages);
    }
    wgmma::wait<0>();
    wgmma::pin(sums);

    const int length = x.taps * x.channels;
    float* partial = dw + std::int64_t{split} * dy.filters * length;
#pragma unroll
    for (int i = 0; i < Kernel::tap_run; ++i) {
      const int tap = block.first_tap + tap_begin + i;
      if (tap >= x.taps) break;
#pragma unroll
      for (int c = 0; c < Kernel::columns / 8; ++c) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int channel = block.first_channel + channel_begin + warp * 16 + lane / 4 + j / 2 * 8,
                    filter = block.first_filter + filter_begin + c * 8 + lane % 4 * 2 + j % 2;
          if (channel < x.channels && filter < dy.filters)
            partial[std::int64_t{filter} * length + tap * x.channels + channel] = sums[i][c][j];
        }
      }
    }
  }
}

}  // namespace convoy
