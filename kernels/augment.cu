// Gather, crop, flip and normalise: stored bytes -> x (N,D,H,W,C) and y (N). A block makes a run of
// consecutive values of one image, four per thread in one store (one where an image's size is odd); a
// neighbour's byte comes from the cache.
#include "kernels/augment.h"
#include "kernels/augment_pixels.h"
#include "kernels/cuda_device.cuh"

namespace convoy {
namespace {

struct AugmentGeometry {
  int first, staged;
  bool resident;
  std::int64_t slot_rows;
  int crop_pad;
  bool reflect_edges;
  Flip flip;
  int h, w, c;
  std::int64_t count;  // values per image
  FastDivide by_c, by_w, by_h;
};

// Grid: x = image, y = run of its packs. x is stored as T.
template <int V, class T>
__global__ void __launch_bounds__(block_size)
    augment_kernel(AugmentGeometry g, const StepState* __restrict__ state,
                   const std::uint8_t* __restrict__ images, const std::int32_t* __restrict__ labels,
                   const std::int32_t* __restrict__ order, const float* __restrict__ scale,
                   const float* __restrict__ offset, T* __restrict__ x, std::int32_t* __restrict__ y) {
  const auto image = static_cast<int>(blockIdx.x);
  const std::int32_t sample = order[state->first + g.first + image];
  if (blockIdx.y == 0 && threadIdx.x == 0) y[image] = labels[sample];
  const std::uint32_t pack = blockIdx.y * block_size + threadIdx.x;
  if (std::int64_t{pack} * V >= g.count) return;

  ImageShift shift;
  if (g.crop_pad > 0 || g.flip != Flip::none)
    shift = image_shift(state->seed, state->epoch, sample, g.crop_pad, g.flip);
  const std::int64_t row = g.resident ? sample : state->slot * g.slot_rows + g.staged + image;
  const std::uint8_t* pixels = images + row * g.count;
  Pack<V> out;
#pragma unroll
  for (int k = 0; k < V; ++k) {
    std::uint32_t index = pack * V + k;  // over (D,H,W,C)
    const auto channel = static_cast<int>(g.by_c.divide(index));
    int from_w = static_cast<int>(g.by_w.divide(index)) + shift.dw;
    int from_h = static_cast<int>(g.by_h.divide(index)) + shift.dh;
    const auto depth = static_cast<int>(index);
    if (g.reflect_edges) {
      from_h = reflect(from_h, g.h);
      from_w = reflect(from_w, g.w);
    }
    const bool inside = from_h >= 0 && from_h < g.h && from_w >= 0 && from_w < g.w;
    if (shift.flip) from_w = g.w - 1 - from_w;
    if (shift.upside_down) from_h = g.h - 1 - from_h;
    float pixel = 0.0f;
    if (inside) pixel = pixels[((depth * g.h + from_h) * g.w + from_w) * g.c + channel];
    out.v[k] = pixel / 255.0f * scale[channel] + offset[channel];
  }
  store<V>(x + image * g.count, pack, out);
}

// With colour, erasing or a partner, a block computes a whole image, because contrast needs the mean of all
// its pixels first. The second read comes from the cache. A thread computes whole pixels. With hues, three
// blocks share a multiprocessor. The compiler aims at four, which would spill registers to local memory.
template <bool hues, class T>
__global__ void __launch_bounds__(block_size, hues ? 3 : 0)
    change_kernel(Augment call, std::int64_t slot_rows, std::int64_t values,
                  const StepState* __restrict__ state, const std::uint8_t* __restrict__ images,
                  const std::int32_t* __restrict__ labels, const std::int32_t* __restrict__ order,
                  const float* __restrict__ scale, const float* __restrict__ offset, T* __restrict__ x,
                  std::int32_t* __restrict__ y, std::int32_t* __restrict__ y_partner) {
  // The image and its partner; shared memory takes no constructors.
  __shared__ alignas(DrawnImage<float>) unsigned char memory[2 * sizeof(DrawnImage<float>)];
  auto* const drawn = reinterpret_cast<DrawnImage<float>*>(memory);
  __shared__ float sums[2][block_size / warp_size];
  const auto i = static_cast<int>(blockIdx.x);
  const auto thread = static_cast<int>(threadIdx.x);
  const int count = call.blends ? 2 : 1;
  if (thread < count) {
    const std::int32_t sample =
        thread == 0 ? order[state->first + call.first + i] : partner_of(call, *state, order, i);
    const std::int64_t row = call.resident ? sample : state->slot * slot_rows + call.staged + i + thread;
    drawn[thread] = draw_image<float>(call, *state, images + row * values, sample);
    (thread == 0 ? y : y_partner)[i] = labels[sample];
  }
  __syncthreads();
  const int height = call.image.h, width = call.image.w;
  const int pixels = call.image.d * height * width;
  if (call.jitter.contrast > 0) {
    for (int k = 0; k < count; ++k) {
      float sum = 0;
      for (int p = thread; p < pixels; p += block_size) {
        const PixelColors<float, hues> colors(call, drawn[k], p / width / height, p / width % height,
                                              p % width);
        sum += colors.bright_gray();
      }
      sum = warp_sum(sum);
      if (thread % warp_size == 0) sums[k][thread / warp_size] = sum;
    }
    __syncthreads();
    if (thread < count) {
      float sum = 0;
      for (const float part : sums[thread]) sum += part;
      drawn[thread].mean = sum / static_cast<float>(pixels);
    }
    __syncthreads();
  }
  const Blend blend = state->blend;
  T* out = x + i * values;
  for (int p = thread; p < pixels; p += block_size) {
    write_pixel<hues>(call, blend, drawn[0], count == 2 ? &drawn[1] : nullptr, p / width / height,
                      p / width % height, p % width, scale, offset, out + std::int64_t{p} * call.image.c,
                      [](float v) { return from_float<T>(v); });
  }
}

template <bool hues>
void launch_change(const CudaContext& context, const Augment& call) {
  with_storage(call.x.dtype, [&]<class T>(T) {
    change_kernel<hues><<<static_cast<unsigned>(call.n), block_size, 0, context.stream>>>(
        call, call.slot_rows(), call.image.count(), context.state,
        context.data<const std::uint8_t>(call.images), context.data<const std::int32_t>(call.labels),
        context.data<const std::int32_t>(call.order), context.data<const float>(call.scale),
        context.data<const float>(call.shift), context.data<T>(call.x), context.data<std::int32_t>(call.y),
        context.data<std::int32_t>(call.y_partner));
  });
  check_launch();
}

}  // namespace

void launch(const CudaContext& context, const Augment& call) {
  const FeatureShape& image = call.image;
  if (call.n == 0) return;
  check(image.count() > 0 && image.count() < (std::int64_t{1} << 31), "an image too large to augment");
  if (!call.plain())
    return call.jitter.hue > 0 ? launch_change<true>(context, call) : launch_change<false>(context, call);
  const auto divide_by = [](int divisor) { return FastDivide(static_cast<std::uint32_t>(divisor)); };
  const AugmentGeometry g{call.first,
                          call.staged,
                          call.resident,
                          call.slot_rows(),
                          call.crop_pad,
                          call.pad_mode == PadMode::reflect,
                          call.flip,
                          image.h,
                          image.w,
                          image.c,
                          image.count(),
                          divide_by(image.c),
                          divide_by(image.w),
                          divide_by(image.h)};
  with_storage(call.x.dtype, [&]<class T>(T) {
    auto* x = context.data<T>(call.x);
    with_pack_width<float>(in_fours(image.count(), x) ? 4 : 1, [&](auto width) {
      constexpr int v = decltype(width)::value;
      const unsigned runs = blocks_for(image.count() / v);
      check(runs <= 65535, "an image too large to augment");
      const dim3 grid(static_cast<unsigned>(call.n), runs);
      augment_kernel<v><<<grid, block_size, 0, context.stream>>>(
          g, context.state, context.data<const std::uint8_t>(call.images),
          context.data<const std::int32_t>(call.labels), context.data<const std::int32_t>(call.order),
          context.data<const float>(call.scale), context.data<const float>(call.shift), x,
          context.data<std::int32_t>(call.y));
    });
  });
  check_launch();
}

}  // namespace convoy
