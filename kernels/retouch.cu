// Changes of pictures: a block per picture, images (samples,1,H,W,C) -> pictures (N,1,H,W,C). Changes that
// look at neighbours go back and forth between the picture and a spare one.
#include "kernels/cuda_device.cuh"
#include "kernels/retouch.h"
#include "kernels/retouch_pixels.h"

namespace convoy {
namespace {

/// The threads of a block.
struct BlockTeam {
  __device__ static int rank() { return static_cast<int>(threadIdx.x); }
  __device__ static constexpr int size() { return block_size; }
  __device__ static void barrier() { __syncthreads(); }
  template <class T>
  __device__ static void add(T* total, T value) {
    atomicAdd(total, value);
  }
};

// Grid: x = picture.
__global__ void __launch_bounds__(block_size)
    retouch_kernel(const __grid_constant__ Retouch call, std::int64_t slot_rows, std::int64_t values,
                   const StepState* __restrict__ state, const std::uint8_t* __restrict__ images,
                   const std::int32_t* __restrict__ order, std::uint8_t* pictures, std::uint8_t* spares) {
  __shared__ alignas(RetouchScratch) unsigned char memory[sizeof(RetouchScratch)];  // takes no constructors
  const std::int64_t offset = blockIdx.x * values;
  retouch_row(BlockTeam{}, call, slot_rows, *state, images, order, static_cast<int>(blockIdx.x),
              pictures + offset, spares + offset, *reinterpret_cast<RetouchScratch*>(memory));
}

}  // namespace

void launch(const CudaContext& context, const Retouch& call) {
  const FeatureShape& image = call.image;
  if (call.n == 0) return;
  check(image.count() > 0 && image.count() < (std::int64_t{1} << 31) - block_size * std::int64_t{image.c},
        "an image too large to retouch");
  retouch_kernel<<<static_cast<unsigned>(call.rows()), block_size, 0, context.stream>>>(
      call, call.slot_rows(), image.count(), context.state, context.data<const std::uint8_t>(call.images),
      context.data<const std::int32_t>(call.order), context.data<std::uint8_t>(call.pictures),
      context.arenas.workspace<std::uint8_t>(workspace_bytes<CudaContext>(call)));
  check_launch();
}

}  // namespace convoy
